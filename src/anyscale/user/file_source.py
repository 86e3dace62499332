"""A users file as the argument of the calls of the SDK."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from anyscale.errors import ConfigError

if TYPE_CHECKING:
    from anyscale.users_file import UsersFile


def open_file(
    path: str | os.PathLike[str],
    file_format: str | None,
    columns: Mapping[str, str],
    sheet: str | None,
    encoding: str | None,
) -> "UsersFile":
    """Open a users file: see `UserCalls.users_file`."""
    from anyscale.users_file import FORMATS, UsersFile
    from anyscale.users_file.tables.header import chosen_columns

    if file_format not in (None, *FORMATS):
        raise ConfigError(f"file_format must be one of {', '.join(FORMATS)}")
    chosen = chosen_columns(f"{header}={field}" for header, field in columns.items())
    file = UsersFile.open(os.fspath(path), file_format, chosen, sheet, encoding)
    try:
        file.require_options("file_format={!r}".format)
    except ConfigError:
        file.close()
        raise
    return file
