"""`anyscale user list` and `anyscale user get`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from shlex import quote
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from anyscale.cli.connect import host_option, open_control_plane, suggested_search
from anyscale.cli.formats import (
    output_option,
    with_notice_if_empty,
    write_record,
    write_records,
)
from anyscale.cli.options import max_items_option

if TYPE_CHECKING:  # imported where it is used, as all that the help of a command does not need
    from anyscale.domain.models.users import User
    from anyscale.domain.user_query import UserQuery

_FIELDS = ("email", "name", "permission_level", "created_at", "user_id")
#: Narrow, since each line of a long list is one account: `--wide` adds the others.
_TABLE = ("email", "name", "lastname", "role", "created_at", "state")
_SIGN_IN_TABLE = (*_TABLE[:4], "last_sign_in_on", "state")

_FILTERS = (
    *("email", "name", "search", "suspended", "role", "sso"),
    *("without_credentials", "without_second_factor", "not_since"),
)


def _day(_ctx: click.Context, _option: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a date such as 2026-09-30.") from None


_wide_option = click.option(
    "--wide", is_flag=True, help="Show every field in the table, as all other formats do."
)


class _ListCommand(click.Command):
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


@click.command("list", cls=_ListCommand)
@click.option("--email", help="Only those whose email contains this, without regard to case.")
@click.option(
    "--name",
    help="Only those whose first name (`name`) contains this, without regard to case. "
    "--search looks at last names too.",
)
@click.option(
    "--search",
    metavar="TEXT",
    help="An email, also as in `Jane Doe <jane@example.com>`, a personnel number, or words or "
    "parts of the email, the name and the last name.",
)
@click.option("--suspended", is_flag=True, help="Only those who are suspended.")
@click.option(
    "--role", type=click.Choice(["owner", "collaborator"]), help="Only those with this role."
)
@click.option("--sso", is_flag=True, help="Only SSO users.")
@click.option(
    "--without-credentials",
    is_flag=True,
    help="Only those who cannot sign in yet: neither with a password nor by SSO.",
)
@click.option(
    "--without-second-factor",
    is_flag=True,
    help="Only those who are not suspended and have no second factor.",
)
@click.option(
    "--not-since",
    metavar="DATE",
    callback=_day,
    help="Only those who have not signed in on this day (UTC, such as 2026-09-30) and since, or "
    "never.",
)
@click.option("--newest-first", is_flag=True, help="List them in the reverse order.")
@max_items_option
@_wide_option
@output_option
@host_option
def list_users(
    max_items: int | None, wide: bool, output: str, host: str | None, **query: Any
) -> None:
    """List users, in the order of their creation.

    With --search, the best matches come first: the email or id, the name, the beginning of the
    email, that of the name, the beginnings of words, and last parts of words.

    \b
    Examples:
      anyscale user list --search "jane doe"
      anyscale user list --email @example.com --max-items 20
      anyscale user list --suspended -o csv
      anyscale user list --not-since 2026-09-30
      anyscale user list --newest-first --max-items 20
    """
    from anyscale.comparison.list_users import list_users as iterate_users
    from anyscale.domain.schemas.users import USER_PAGE

    chosen = _query_of(query)
    table = _SIGN_IN_TABLE if chosen.not_since else _TABLE
    with open_control_plane(host) as transport:
        users = iterate_users(transport, chosen, max_items, USER_PAGE)
        if output == "text" and max_items != 0 and any(query[name] for name in _FILTERS):
            users = with_notice_if_empty(users, "No account matches.")
        _write(users, output, _wide_table() if wide else table)


def _query_of(values: Mapping[str, Any]) -> "UserQuery":
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


@click.command("get")
@click.argument("argument", metavar="[EMAIL|ID]", required=False)
@click.option("--email", help="The user's email, in any spelling of the same address.")
@click.option("--name", help="The user's name, exactly.")
@output_option
@host_option
def get_user(
    argument: str | None,
    email: str | None,
    name: str | None,
    output: str,
    host: str | None,
) -> None:
    """Get one user by email, by name or by id.

    \b
    Examples:
      anyscale user get jane@example.com -o json
      anyscale user get --name Jane
    """
    write_record(_user(argument, email, name, host), _record(), output)


def _user(argument: str | None, email: str | None, name: str | None, host: str | None) -> "User":
    from anyscale.cli.account_argument import find_account
    from anyscale.errors import NotFound
    from anyscale.user.lookup import find_user

    if argument is not None:
        _check_argument(argument, email, name)
    with open_control_plane(host) as transport:
        if argument:
            return find_account(transport, argument)
        try:
            return find_user(transport, email=email, name=name)
        except NotFound as error:
            if not name:
                raise
            search = suggested_search(name, "finds parts of names and emails")
            raise NotFound(f"{error}{search}") from None


def _check_argument(argument: str, email: str | None, name: str | None) -> None:
    from anyscale.cli.account_argument import check_account
    from anyscale.errors import ConfigError

    check_account(argument)
    if not (email is None and name is None):
        raise ConfigError("give either an email or a name, and only once")


def _write(users: Iterable["User"], output: str, table: Sequence[str]) -> None:
    if output == "text":
        write_records(map(_table_line, users), table, output)
    else:
        write_records(users, _record(), output)


def _record() -> Sequence[str]:
    from anyscale.domain.models.users import User

    return (*_FIELDS, *(field for field in User.__struct_fields__ if field not in _FIELDS))


def _wide_table() -> Sequence[str]:
    shown = {*_TABLE, "permission_level", "suspended_at"}
    return (*_TABLE, *(field for field in _record() if field not in shown))


def _table_line(user: "User") -> SimpleNamespace:
    # The table shows whether a user is suspended; other formats show since when.
    state = "suspended" if user.suspended_at else None
    return SimpleNamespace(**user.to_dict(), role=user.permission_level, state=state)
