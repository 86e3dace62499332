"""anyscale user"""

from collections.abc import Iterable
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from anyscale.cli.connect import asked
from anyscale.cli.options import format_option, host_option, output_option
from anyscale.cli.user import lifecycle as account
from anyscale.cli.user.set_password_link import set_password_link

if TYPE_CHECKING:
    from anyscale.user.models import User

_FIELDS = ("email", "name", "permission_level", "created_at", "user_id")
_RECORD = (*_FIELDS, "suspended_at")
_TABLE = (*_FIELDS, "state")


@click.group("user")
def command() -> None:
    """Create users, list them, and change what becomes of their accounts."""


@command.command("batch-create")
@click.option(
    "--users-file",
    "-f",
    required=True,
    metavar="PATH",
    help="Path to a YAML file that contains the information for user accounts to be created.",
)
@format_option
@click.option(
    "--if-exists",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="Whether an email that has an account refuses the batch or is passed over.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, and write nothing.")
@output_option
@host_option
def batch_create(
    users_file: str,
    file_format: str | None,
    if_exists: str,
    dry_run: bool,
    output: str,
    host: str | None,
) -> None:
    """Batch create, as an admin, users without email verification.

    \b
    Examples:
      anyscale user batch-create --users-file users.yaml
      anyscale user batch-create -f users.csv --dry-run
      generate-users | anyscale user batch-create -f - --format jsonl -o json

    Whole or nothing: it creates every user of the file, or none and says why. If it was cut short,
    run the same command again.

    \b
    Exit status:
      0    done
      1    refused: emails exist, no permission, no connection; nobody was created
      2    the command line or the file is wrong; nobody was created
      3    unfinished, or the outcome is not known: run the same command again
      130  interrupted: the same as 3
    """
    from anyscale.cli.user.batch_create import create, say_if_typed, try_out
    from anyscale.user.files import UsersFile

    say_if_typed(users_file)
    with (
        asked(host) as transport,
        closing(UsersFile.open(users_file, file_format)) as file,
    ):
        (try_out if dry_run else create)(transport, file, if_exists, output)


@command.command("list")
@click.option("--email", help="Only those whose email contains this, without regard to case.")
@click.option("--name", help="Only those whose name contains this, without regard to case.")
@click.option("--suspended", is_flag=True, help="Only those who are suspended.")
@click.option("--max-items", type=click.IntRange(min=0), help="At most so many.")
@output_option
@host_option
def list_(
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
    from anyscale.user.sdk import list_users

    with asked(host) as transport:
        _write(list_users(transport, email, name, max_items, 1_000, suspended=suspended), output)


# An extra argument is taken, to be told how it is said: other commands take an email like that.
@command.command("get", context_settings={"allow_extra_args": True})
@click.option("--email", help="The user's email, in any spelling of the same address.")
@click.option("--name", help="The user's name, exactly.")
@output_option
@host_option
def get(email: str | None, name: str | None, output: str, host: str | None) -> None:
    """Get one user by email or by name.

    \b
    Example:
      anyscale user get --email jane@example.com -o json
    """
    from anyscale.cli.formats import write_json, write_yaml
    from anyscale.errors import ConfigError
    from anyscale.user.sdk import found_user

    if bare := click.get_current_context().args:
        raise ConfigError(f"say {_option_for(bare[0])}")
    with asked(host) as transport:
        user = found_user(transport, email, name)
    if output == "json":
        write_json({field: getattr(user, field) for field in _RECORD})
    elif output == "yaml":
        write_yaml({field: getattr(user, field) for field in _RECORD})
    else:
        _write([user], output)


def _write(users: Iterable["User"], output: str) -> None:
    from anyscale.cli.formats import write_records

    if output == "text":
        write_records(map(_line, users), _TABLE, output)
    else:
        write_records(users, _RECORD, output)


def _line(user: "User") -> SimpleNamespace:
    """Give a line of the table: it says who is suspended, and the other formats since when."""
    return SimpleNamespace(**user.to_dict(), state="suspended" if user.suspended_at else None)


def _option_for(who: str) -> str:
    from shlex import quote

    return f"{'--email' if '@' in who else '--name'} {quote(who)}"


for _one in (*account.COMMANDS, set_password_link):
    command.add_command(_one)
