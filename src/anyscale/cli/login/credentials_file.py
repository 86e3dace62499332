"""Write the credentials file: atomically, readable only by its owner."""

import os
from pathlib import Path

from msgspec import json

from anyscale.cli.atomic_file import AtomicFile, disk_errors
from anyscale.cli.terminal import confirm
from anyscale.config import Credentials, Target, saved_credentials


def confirm_replacement(path: Path, target: Target, *, yes: bool) -> None:
    """Ask before the token of another host is replaced, unless `yes`.

    Raises:
        ConfigError: the answer is not yes, there is no terminal, or others can read the file.
    """
    saved = saved_credentials(os.environ)
    if saved.cli_token and saved.host != target.host:
        other = saved.host or "no host"
        confirm(
            f"{path} has a token for {other}, which this one replaces.",
            f"{path} keeps its token for {other}",
            yes=yes,
        )


def write_credentials(path: Path, target: Target) -> None:
    """Write host and token, in place of a file that exists.

    Raises:
        ConfigError: the file cannot be written.
        StoreUnavailable: the disk is full, or fails.
    """
    credentials = Credentials(target.host, target.token)
    with disk_errors("write", path):
        path.parent.mkdir(mode=0o700, exist_ok=True)
    with AtomicFile(str(path), replaces=True) as file:
        file.write(json.format(json.encode(credentials)).decode() + "\n")
        file.keep()
