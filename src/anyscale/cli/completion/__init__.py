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
    from anyscale.cli.completion.shells import SHELLS

    program = ctx.find_root().command
    script = SHELLS[shell](program, {}, "anyscale", "_ANYSCALE_COMPLETE").source()
    write_text(script.splitlines())
