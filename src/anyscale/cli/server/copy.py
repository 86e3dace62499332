"""`anyscale server copy`."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log, show_progress
from anyscale.errors import ConfigError
from anyscale.server.databases import database_name
from anyscale.server.settings import Settings

#: settings that name what a server needs beside its database
_FILES = ("ANYSCALE_SMTP_PASSWORD_FILE", "ANYSCALE_SSO_CLIENT_SECRET_FILE")


@click.command("copy")
@click.option(
    "--to",
    "url",
    metavar="URL",
    required=True,
    help="The empty database: sqlite:///path or postgresql://... Write no password into it, which "
    "other users of this machine would see: PGPASSFILE names a file with passwords.",
)
@database_option
def copy(url: str) -> None:
    """Copy the whole control plane into an empty database, of SQLite or of PostgreSQL.

    Stop the server first. Ids, passwords, tokens, applications, open batches and the audit log stay
    the same. The new database is complete or empty, also if the command is killed: then run it
    again. The old one keeps everything.

    \b
    Example:
      anyscale server copy --to postgresql:///anyscale
    """
    from anyscale.server.core.callers import system_caller
    from anyscale.server.core.database_copy import copy_database

    with open_local_control_plane(create=False) as control_plane:
        control_plane.store.ready()
        old, new = control_plane.settings, _settings_of(url)
        log(f"Copying {database_name(old.database)} to {database_name(new.database)}")
        counts = copy_database(
            control_plane.transactions,
            old.database,
            new.database,
            system_caller(),
            lambda done, total: show_progress("Copying", done, total),
        )
    log(f"All {sum(counts.values()):,} rows of {len(counts)} tables were copied.")
    for line in _left_to_do(old, new):
        log(line)


def _settings_of(url: str) -> Settings:
    """Return the present settings with another database. All others were read before."""
    try:
        if url.strip():
            environment = {**os.environ, "ANYSCALE_DATABASE_URL": url}
            return Settings.from_environment(environment, served=True)
    except ConfigError:
        pass  # its message has the name of the variable
    raise click.UsageError("--to must be sqlite:///path or postgresql://...")


def _left_to_do(old: Settings, new: Settings) -> Iterator[str]:
    """Give lines about what a server of the new database needs, and no database contains."""
    yield (
        "Name the new database in ANYSCALE_DATABASE_URL of all servers. What the old one gets from "
        "now on is not in the new one."
    )
    files = [f"{os.environ[name]} ({name})" for name in _FILES if os.environ.get(name)]
    folders = _key_folders(old)
    keys = [f"the {what} in {folder}" for what, (_, folder) in folders.items()]
    needed = ", ".join(["the settings", *keys, *files])
    yield f"No database contains these, which stay as they are: {needed}."
    for what, (variable, folder) in _key_folders(new).items():
        if folder != folders[what][1]:
            yield (
                f"With the new database, the {what} are those in {folder}: copy them there, or set "
                f"{variable}={folders[what][1]}."
            )


def _key_folders(settings: Settings) -> dict[str, tuple[str, Path | None]]:
    return {
        "signing keys": ("ANYSCALE_SIGNING_KEYS", settings.signing_keys),
        "second-factor keys": ("ANYSCALE_SECOND_FACTOR_KEYS", settings.second_factor_keys),
    }
