"""Options that `verify` and `suspend` had before 0.1.0, and that `sync` replaces."""

from collections.abc import Mapping, Sequence
from shlex import join

import click


def refuse_replaced(
    ctx: click.Context, option: str, args: Sequence[str], options: Mapping[str, Sequence[str]]
) -> None:
    """Name the command of `sync` for a command line that has a replaced option.

    Args:
        ctx: of the command that had the option.
        option: such as `--apply`.
        args: of the command line.
        options: what `sync` has in place of options.

    Raises:
        UsageError: the command line has it.
    """
    split = [arg.split("=", 1) for arg in args]
    if option not in [name for name, *_ in split]:
        return
    words = ["anyscale", "user", "sync"]
    for arg, (name, *value) in zip(args, split, strict=True):
        words += [*options[name], *value] if name in options else [arg]
    raise click.UsageError(f"{option} was removed. Use `{join(words)}`", ctx)
