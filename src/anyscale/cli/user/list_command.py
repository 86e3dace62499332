"""The command line of `anyscale user list`: what is wrong with it, and how to mend it."""

from collections.abc import Mapping
from shlex import quote
from typing import Any

import click

__all__ = ["UserListCommand", "check_search"]


class UserListCommand(click.Command):
    """A command that suggests `--search` for a text without an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        arguments = list(args)  # click empties its list
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if type(error) is not click.UsageError:  # an option is unknown, or its value is wrong
                raise
            options, texts, _ = self.make_parser(ctx).parse_args(arguments)
            text = " ".join(filter(None, [options.get("search"), *texts]))
            raise click.UsageError(
                f"{error.format_message()}. Say --search {quote(text)}", ctx
            ) from None


def check_search(query: Mapping[str, Any]) -> None:
    """Check the texts of the command line.

    Raises:
        UsageError: one is empty, or a search has options that it does not take.
    """
    for name in ("email", "name"):
        if query[name] == "":
            raise click.UsageError(f"--{name} is empty: give at least one character")
    if query["search"] is None:
        return
    if not query["search"].strip():
        raise click.UsageError("--search is blank: give at least one character")
    others = [name for name in ("email", "name", "newest_first") if query[name]]
    if others:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in others)
        reasons = ["looks at emails and names already"] if query["email"] or query["name"] else []
        reasons += ["lists the best matches first"] if query["newest_first"] else []
        raise click.UsageError(f"--search {' and '.join(reasons)}: leave out {options}")
