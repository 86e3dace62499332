"""`anyscale user list` and `anyscale user get`."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from anyscale.cli.connect import host_option, open_control_plane
from anyscale.cli.formats import output_option, write_json, write_records, write_yaml

if TYPE_CHECKING:  # imported where it is used, as all that the help of a command does not need
    from anyscale.user.models import User

_FIELDS = ("email", "name", "permission_level", "created_at", "user_id")
_RECORD = (*_FIELDS, "suspended_at")
_TABLE = (*_FIELDS, "state")


@click.command("list")
@click.option("--email", help="Only those whose email contains this, without regard to case.")
@click.option("--name", help="Only those whose name contains this, without regard to case.")
@click.option("--suspended", is_flag=True, help="Only those who are suspended.")
@click.option("--max-items", type=click.IntRange(min=0), help="At most this many.")
@output_option
@host_option
def list_users(
    email: str | None,
    name: str | None,
    suspended: bool,
    max_items: int | None,
    output: str,
    host: str | None,
) -> None:
    """List users, in the order of their creation.

    \b
    Examples:
      anyscale user list --email @example.com --max-items 20
      anyscale user list --suspended -o csv
    """
    from anyscale.user.lookup import list_users as iterate_users

    with open_control_plane(host) as transport:
        users = iterate_users(transport, email, name, max_items, 1_000, suspended=suspended)
        _write(users, output)


# It accepts an argument only to refuse it with the right option: other commands take an email so.
@click.command("get", context_settings={"allow_extra_args": True})
@click.option("--email", help="The user's email, in any spelling of the same address.")
@click.option("--name", help="The user's name, exactly.")
@output_option
@host_option
def get_user(email: str | None, name: str | None, output: str, host: str | None) -> None:
    """Get one user by email or by name.

    \b
    Example:
      anyscale user get --email jane@example.com -o json
    """
    from shlex import quote

    from anyscale.errors import ConfigError
    from anyscale.user.lookup import find_user

    if arguments := click.get_current_context().args:
        option = "--email" if "@" in arguments[0] else "--name"
        raise ConfigError(f"say {option} {quote(arguments[0])}")
    with open_control_plane(host) as transport:
        user = find_user(transport, email, name)
    record = {field: getattr(user, field) for field in _RECORD}
    if output == "json":
        write_json(record)
    elif output == "yaml":
        write_yaml(record)
    else:
        _write([user], output)


def _write(users: Iterable["User"], output: str) -> None:
    if output == "text":
        write_records(map(_table_line, users), _TABLE, output)
    else:
        write_records(users, _RECORD, output)


def _table_line(user: "User") -> SimpleNamespace:
    # The table shows whether a user is suspended; other formats show since when.
    return SimpleNamespace(**user.to_dict(), state="suspended" if user.suspended_at else None)
