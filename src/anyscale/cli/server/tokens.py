"""`anyscale server create-token`, `list-tokens` and `revoke-token`."""

from typing import Any

import click
from msgspec import structs

from anyscale.cli.formats import output_option, write_records
from anyscale.cli.options import WholeNumber
from anyscale.cli.secret_output import SecretOutput, output_file_option
from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log
from anyscale.domain.times import from_milliseconds
from anyscale.server.core.callers import system_caller
from anyscale.server.core.permissions import TOKEN_ROLES

_TIMES = ("created_at", "expires_at", "used_at", "revoked_at")

#: what an interrupt may leave
_MAY_EXIST = (
    "the token may have been created, and nobody has it: `anyscale server list-tokens` shows it"
)

_COLUMNS = ("token_id", "name", "role", *_TIMES, "user_id")


@click.command("create-token")
@click.option(
    "--name",
    required=True,
    help="A name that identifies its user in the audit log: `jane-laptop`.",
)
@click.option(
    "--role",
    type=click.Choice(TOKEN_ROLES),
    default="owner",
    show_default=True,
    help="An owner's token can make every call; a reader's changes nothing and sees no secret.",
)
@click.option("--expires-days", type=WholeNumber(1, 3650), help="Default: it does not expire.")
@output_file_option
@database_option
def create_token(name: str, role: str, expires_days: int | None, output_file: str | None) -> None:
    """Create a token and print it; it is shown once, since only its hash is stored.

    \b
    Example:
      anyscale server create-token --name ci --expires-days 90 --output-file token
    """
    with (
        SecretOutput(output_file, _MAY_EXIST) as output,
        open_local_control_plane() as control_plane,
    ):
        tokens, caller = control_plane.tokens, system_caller()
        token = tokens.create(caller, name, role, expires_days)
        output.write(token, revoke=lambda: tokens.revoke(caller, name))
    log(f"Token {name!r} was created. {output.describe()}")


@click.command("list-tokens")
@output_option
@database_option
def list_tokens(output: str) -> None:
    """List the tokens: names, roles, when they expire and when they were used.

    \b
    Example:
      anyscale server list-tokens
    """
    with open_local_control_plane(create=False) as control_plane:
        write_records(map(_with_datetimes, control_plane.tokens.all()), _COLUMNS, output)


@click.command("revoke-token")
@click.argument("name")
@database_option
def revoke_token(name: str) -> None:
    """Revoke a token, by its name or its id; the next request with it is refused.

    \b
    Example:
      anyscale server revoke-token jane-laptop
    """
    with open_local_control_plane(create=False) as control_plane:
        token = control_plane.tokens.revoke(system_caller(), name)
    log(f"Token {token.name!r} ({token.token_id}) is revoked.")


def _with_datetimes(token: Any) -> Any:
    times = {
        field: from_milliseconds(time)
        for field in _TIMES
        if (time := getattr(token, field)) is not None
    }
    return structs.replace(token, **times)
