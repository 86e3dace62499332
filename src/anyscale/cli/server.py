"""anyscale server: what an operator does on the control plane's own machine."""

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from anyscale.cli.console import log
from anyscale.cli.formats import write_records, write_text
from anyscale.cli.options import output_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscale.server.control_plane import ControlPlane

_COLUMNS = (
    "token_id",
    "name",
    "role",
    "created_at",
    "expires_at",
    "used_at",
    "revoked_at",
    "user_id",
)

_TIMES = frozenset({"created_at", "expires_at", "used_at", "revoked_at"})


@click.group("server")
def command() -> None:
    """Host a control plane: start it, and make its tokens and owners."""


def _use_database(_ctx: click.Context, _option: click.Parameter, url: str | None) -> None:
    # Where the processes that a server starts look for it as well.
    if url is not None:
        os.environ["ANYSCALE_DATABASE_URL"] = url


_database_option = click.option(
    "--database",
    metavar="URL",
    expose_value=False,
    callback=_use_database,
    help="sqlite:///path or postgresql://... Default: ANYSCALE_DATABASE_URL, where others of this "
    "machine do not see it, else anyscale.db in the data directory.",
)


@command.command("start")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen at; 0 for any that is free, which the log names.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that answer.",
)
@_database_option
def start(host: str, port: int, workers: int) -> None:
    """Answer requests until a signal ends it; then finish what was begun.

    \b
    Example:
      anyscale server start --port 8000

    It is ready when GET /healthz answers. It speaks plain HTTP: put a proxy with TLS in front.
    """
    from anyscale.server.main import serve

    click.get_current_context().exit(serve(host, port, workers))


@command.command("migrate")
@_database_option
def migrate() -> None:
    """Bring the database's schema up to this version; starting does so too.

    \b
    Example:
      anyscale server migrate --database postgresql:///anyscale
    """
    with _control_plane():
        log("The database has the schema of this version.")


@command.command("create-owner")
@click.option("--email", required=True, help="Of the person. An account that exists will do.")
@click.option("--name", help="Of an account that is made. Default: what the email begins with.")
@_database_option
def create_owner(email: str, name: str | None) -> None:
    """Make an owner: create the account if need be, and print a link to set its password.

    \b
    Example:
      anyscale server create-owner --email jane@example.com --name Jane

    The link is shown this once, is good once, and for some days. Run the command again for another.
    """
    from anyscale.cli.exit_status import say_problems
    from anyscale.errors import BatchRefused
    from anyscale.server.core.authorization import Principal, local_actor
    from anyscale.server.settings import Settings

    settings = Settings.from_environment(os.environ, served=True)
    if not settings.policy.sso_only:
        settings.address()  # without it no link can be made: said before a database is
    with _control_plane() as plane:
        try:
            owner = plane.owners.create(email, name, Principal(local_actor()))
        except BatchRefused as refused:
            say_problems(refused)
            raise
    log(f"{owner.email} is an owner{'' if owner.existed else ' of a new account'}.")
    if owner.link is None:
        log("There is no link, since everybody here signs in by SSO.")
        return
    write_text([owner.link.url])
    log("The link sets a password. It is shown this once and good once: hand it to its user alone.")


@command.command("create-token")
@click.option("--name", required=True, help="By which others know whose it is: `jane-laptop`.")
@click.option(
    "--role",
    type=click.Choice(["owner", "collaborator"]),
    default="owner",
    show_default=True,
    help="Owners create users; collaborators do not.",
)
@click.option("--expires-days", type=click.IntRange(1, 3650), help="Default: it does not expire.")
@_database_option
def create_token(name: str, role: str, expires_days: int | None) -> None:
    """Make a token, and print it: once, since only its hash is kept.

    \b
    Example:
      anyscale server create-token --name jane-laptop --expires-days 90
    """
    from anyscale.server.core.authorization import local_actor

    with _control_plane() as plane:
        token = plane.tokens.create(name, role, expires_days, local_actor())
    write_text([token])
    log(f"Token {name!r} was made. It is shown this once: keep it where only you can read it.")


@command.command("list-tokens")
@output_option
@_database_option
def list_tokens(output: str) -> None:
    """List the tokens: whose they are, how long they are valid, when they were used.

    \b
    Example:
      anyscale server list-tokens
    """
    with _control_plane(create=False) as plane:
        write_records(map(_Shown, plane.tokens.all()), _COLUMNS, output)


@command.command("revoke-token")
@click.argument("name")
@_database_option
def revoke_token(name: str) -> None:
    """End a token, by its name or its id, from the next request on.

    \b
    Example:
      anyscale server revoke-token jane-laptop
    """
    from anyscale.server.core.authorization import local_actor

    with _control_plane(create=False) as plane:
        token = plane.tokens.revoke(name, local_actor())
    log(f"Token {token.name!r} ({token.token_id}) is revoked.")


class _Shown:
    """A token as it is shown: with times for people."""

    def __init__(self, token: Any) -> None:
        self._token = token

    def __getattr__(self, field: str) -> Any:
        from anyscale.user.models import from_milliseconds

        value = getattr(self._token, field)
        return from_milliseconds(value) if field in _TIMES and value is not None else value


@contextmanager
def _control_plane(*, create: bool = True) -> "Iterator[ControlPlane]":
    """Open the control plane; what only looks, or takes away, makes no database."""
    from anyscale.server.control_plane import ControlPlane
    from anyscale.server.settings import Settings

    plane = ControlPlane(Settings.from_environment(os.environ, served=True), create=create)
    try:
        plane.require_begun()
        yield plane
    finally:
        plane.close()
