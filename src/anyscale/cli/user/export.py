"""`anyscale user export`."""

from collections import Counter
from contextlib import nullcontext
from itertools import starmap
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from anyscale.cli.connect import log_control_plane, open_control_plane
from anyscale.cli.server.connect import database_option
from anyscale.cli.terminal import log
from anyscale.domain.phrases import quantity

if TYPE_CHECKING:  # imported where it is used: the help of a command needs none of it
    from collections.abc import Iterator

    from anyscale.domain.models.exports import ExportedUser, Manifest
    from anyscale.transport.base import Transport

_FORMATS = ["jsonl", "csv", "ldif"]

_NO_HASHES = (
    "a server gives no token the hashes of passwords: run the command on the machine of the "
    "server, without --host, or leave out --with-password-hashes"
)

_NO_DATABASE = (
    "--host exports from a server, and --database from a database of this machine: use one of them"
)


@click.command("export")
@click.option(
    "-o", "--output", "path", required=True, metavar="FILE", help="A new file, which you can read."
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(_FORMATS),
    help="Default: by the ending of the file's name.",
)
@click.option(
    "--with-password-hashes",
    is_flag=True,
    help="Also the hashes of the passwords, so that users keep them. Guard such a file.",
)
@click.option(
    "--host",
    metavar="URL",
    help="Export from this server, with your token and without hashes. Default: the database of "
    "this machine, whatever ANYSCALE_HOST is.",
)
@database_option
@click.pass_context
def export(
    ctx: click.Context,
    path: str,
    file_format: str | None,
    with_password_hashes: bool,
    host: str | None,
) -> None:
    """Write all accounts to a new file, to leave, or to create them elsewhere.

    The operator runs it on the machine of the control plane: it opens the database itself. The
    server may run. With --host, a token of an owner or a reader suffices. `anyscale user
    batch-create` creates the accounts from the file again; the file ends with a manifest, which
    shows it if some of the file is missing.

    \b
    Examples:
      anyscale user export -o users.jsonl --with-password-hashes
      anyscale user export -o users.csv --host https://accounts.example.com
    """
    named = (one for one in _FORMATS if path.lower().endswith(f".{one}"))
    chosen = file_format or next(named, None)
    if chosen is None:
        raise click.UsageError("name the file .jsonl, .csv or .ldif, or use --format")
    if host is None:
        from anyscale.cli.server.user_export import export_local

        manifest = export_local(path, chosen, with_hashes=with_password_hashes)
    else:
        if with_password_hashes:
            raise click.UsageError(_NO_HASHES)
        if ctx.get_parameter_source("database") is not ParameterSource.DEFAULT:
            raise click.UsageError(_NO_DATABASE)
        manifest = _export_from(host, path, chosen)
    verb = "is" if manifest.users == 1 else "are"
    log(f"{quantity(manifest.users, 'account')} {verb} in {path}, which only you can read.")
    if left_out := manifest.left_out:
        log(f"Not in the file: {', '.join(starmap(_in_words, left_out.items()))}.")


def _in_words(kind: str, count: int | None) -> str:
    words = kind.replace("_", " ")
    return words if count is None else f"{words} ({count:,})"


def _export_from(host: str, path: str, file_format: str) -> "Manifest":
    from anyscale.cli.export_file import write_export

    with open_control_plane(host) as transport:
        log_control_plane(transport)
        return write_export(path, file_format, nullcontext(_Pages(transport)))


class _Pages:
    """The accounts of a control plane, as `Export` says, each page of its own moment."""

    def __init__(self, transport: "Transport") -> None:
        self._users = transport.users
        self.total = 0
        self.hashes = Counter[str]()
        self._hashes_left_out = 0

    def pages(self) -> "Iterator[list[ExportedUser]]":
        from anyscale.domain.schemas.exports import EXPORT_PAGE

        after: str | None = ""
        while after is not None:
            page = self._users.export(after, EXPORT_PAGE)
            self.total = self.total if page.total is None else page.total
            self._hashes_left_out += page.hashes_left_out
            yield page.users
            after = page.after

    def left_out(self) -> "dict[str, int | None]":
        from anyscale.domain.models.exports import NEVER_EXPORTED

        # How many there are, a server tells nobody: a reader may not see sessions and links.
        not_told = dict.fromkeys(("password_initial", *NEVER_EXPORTED))
        return {"password_hashes": self._hashes_left_out, **not_told}
