"""`anyscale login`: store a token in the credentials file."""

import os
import sys
from contextlib import closing, suppress
from getpass import getpass
from pathlib import Path

import click
from msgspec import json

from anyscale.cli.atomic_file import AtomicFile, disk_errors
from anyscale.cli.options import OptionCommand
from anyscale.cli.terminal import confirm, log
from anyscale.config import (
    COMMAND,
    Credentials,
    Target,
    credentials_path,
    resolve,
    saved_credentials,
)
from anyscale.errors import ConfigError
from anyscale.transport import open_transport

#: octets of a token from standard input, at most
_LONGEST = 4096


@click.command("login", cls=OptionCommand, option="--host")
@click.option("--host", required=True, metavar="URL", help="The server: https://...")
@click.option("--yes", is_flag=True, help="Replace the token of another host without asking.")
def login(host: str, yes: bool) -> None:
    """Store a token of a server in a file that only you can read.

    It asks for the token and does not show it, or reads it from standard input. The server checks
    it. From then on commands and Python use that server, unless --host or a variable names another
    one. The file is ~/.anyscale/credentials.json.

    \b
    Example:
      anyscale login --host https://accounts.example.com
    """
    path = credentials_path(os.environ)
    if path is None:
        raise ConfigError("this user has no home folder: set HOME")
    target = _target(host)
    _confirm_replacement(path, target, yes=yes)
    with closing(open_transport(target, on_notice=log)) as transport:
        transport.policy()  # refused unless the token is one of an owner
    _write_credentials(path, target)
    log(f"The token for {target.host} is in {path}, which only you can read.")
    for variable in ("ANYSCALE_HOST", "ANYSCALE_CLI_TOKEN"):
        if os.environ.get(variable, "").strip():
            log(f"{variable} is set, and comes before the file: unset it to use the file.")


def _target(host: str) -> Target:
    # With any token, so that a wrong host is refused before a person types the real one.
    if not resolve(host, "any", words=COMMAND).host:
        raise ConfigError("--host names no server: the embedded control plane accepts no token")
    token = _read_token().strip()
    if not token:
        raise ConfigError("there is no token: nothing was read")
    return resolve(host, token, words=COMMAND)


def _read_token() -> str:
    if sys.stdin and sys.stdin.isatty():
        with suppress(EOFError):
            return getpass("Token: ")
        return ""
    return sys.stdin.buffer.read(_LONGEST).decode("ascii", "replace") if sys.stdin else ""


def _confirm_replacement(path: Path, target: Target, *, yes: bool) -> None:
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


def _write_credentials(path: Path, target: Target) -> None:
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
