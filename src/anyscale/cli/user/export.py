"""`anyscale user export`."""

import click

from anyscale.cli.server.connect import database_option
from anyscale.cli.terminal import log
from anyscale.domain.phrases import quantity

_FORMATS = ["jsonl", "csv", "ldif"]


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
@database_option
def export(path: str, file_format: str | None, with_password_hashes: bool) -> None:
    """Write all accounts to a new file, to leave, or to create them elsewhere.

    It is the operator's, on the machine of the control plane: it opens the database itself. The
    server may run. `anyscale user batch-create` creates the accounts from the file again; the file
    ends with a manifest, which shows it if some of the file is missing.

    \b
    Example:
      anyscale user export -o users.jsonl --with-password-hashes
    """
    from anyscale.cli.server.user_export import export_to

    named = (one for one in _FORMATS if path.lower().endswith(f".{one}"))
    chosen = file_format or next(named, None)
    if chosen is None:
        raise click.UsageError("name the file .jsonl, .csv or .ldif, or use --format")
    manifest = export_to(path, chosen, with_hashes=with_password_hashes)
    verb = "is" if manifest.users == 1 else "are"
    log(f"{quantity(manifest.users, 'account')} {verb} in {path}, which only you can read.")
    if left_out := manifest.left_out:
        kinds = (f"{kind.replace('_', ' ')} ({count:,})" for kind, count in left_out.items())
        log(f"Not in the file: {', '.join(kinds)}.")
