"""The command line of `anyscale user list`: what is wrong with it, and how to mend it."""

from collections.abc import Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # imported where it is used, as all that the help of a command does not need
    from anyscale.domain.user_query import UserQuery


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
                f"{error.format_message()}. Use --search {quote(text)}", ctx
            ) from None


def query_of(values: Mapping[str, Any]) -> "UserQuery":
    """Return the query of the options of the command line.

    Raises:
        UsageError: a text is empty, or the query is invalid.
    """
    from anyscale.domain.user_query import UserQuery, query_fault

    for name in ("email", "name"):
        if values[name] == "":
            raise click.UsageError(f"--{name} is empty: give at least one character")
    query = UserQuery(**values)
    if fault := query_fault(query, lambda field: f"--{field.replace('_', '-')}"):
        raise click.UsageError(fault)
    return query
