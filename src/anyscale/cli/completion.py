"""`anyscale completion`: print the completion script of a shell."""

import click

from anyscale.cli.formats import write_text


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in SHELL.

    \b
    Example:
      anyscale completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    program = ctx.find_root().command
    script = completion_class(program, {}, "anyscale", "_ANYSCALE_COMPLETE").source()
    write_text(script.splitlines())
