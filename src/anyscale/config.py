"""Find the control plane to use: argument, then environment, then file, then the embedded one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, json

from anyscale.domain.data_dir import home_dir
from anyscale.domain.schemas.protocol import DECODE_ERRORS
from anyscale.domain.urls import checked_origin, is_on_loopback
from anyscale.errors import ConfigError

#: the host that chooses the embedded control plane
EMBEDDED = "embedded"

_FILE = ".anyscale/credentials.json"


class CallerWords(NamedTuple):
    """How the caller names a host and passes a token, for messages."""

    host: str
    #: `{}` stands for the host
    token: str
    embedded: str
    #: where a token comes from that is an argument: of the command, only `anyscale login` has one
    token_source: str


COMMAND = CallerWords(
    "--host",
    "set ANYSCALE_CLI_TOKEN, store one by `anyscale login --host {}`",
    "use the embedded control plane by --host embedded",
    "the prompt or standard input",
)
PYTHON = CallerWords(
    "host=",
    "pass token= to anyscale.Anyscale or set ANYSCALE_CLI_TOKEN",
    'use the embedded control plane by anyscale.Anyscale(host="embedded")',
    "token=",
)


class Target(Struct, frozen=True):
    """The control plane of a server; without a host, the embedded one."""

    host: str | None = None
    token: str | None = None
    #: the argument, variable or file that has the token, for the message if it is refused
    token_source: str = ""

    def __repr__(self) -> str:
        return f"Target({self.host!r})"


class Credentials(Struct, forbid_unknown_fields=True):
    """The credentials file."""

    host: str | None = None
    cli_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.host!r})"


class _Found(NamedTuple):
    """A value, and the argument, variable or file that has it."""

    value: str | None
    source: str


class _Saved(NamedTuple):
    """What the credentials file has, and its path."""

    host: str | None = None
    cli_token: str | None = None
    path: str = ""


def resolve(
    host: str | None,
    token: str | None,
    environment: Mapping[str, str] = os.environ,
    words: CallerWords = PYTHON,
) -> Target:
    """Find the control plane to use.

    The arguments override `ANYSCALE_HOST` and `ANYSCALE_CLI_TOKEN` of the environment, and these
    override the credentials file. Without a host, a token is sent to the file's host only if it is
    the file's own, or the file has none. The host `embedded` is the embedded control plane,
    whatever the token.

    Raises:
        ConfigError: there is a host without a token or a token without a host, the host is
            wrong, or others can read the credentials file.
    """
    # Such as --host "$SERVER" without the variable: the embedded control plane is not meant.
    if host is not None and not host.strip():
        raise ConfigError(f"{words.host} is empty: name a server, or {words.embedded}")
    if token is not None and not token.strip():
        raise ConfigError("token= is empty: pass a token, or None for that of the environment")
    chosen = _first(host, words.host, environment, "ANYSCALE_HOST")
    if chosen.value == EMBEDDED:
        return Target()
    secret = _first(token, words.token_source, environment, "ANYSCALE_CLI_TOKEN")
    if not (chosen.value and secret.value):
        saved = saved_credentials(environment)
        # The file's token is for the file's host only, and that host for the file's token.
        is_other = (secret.value or "").strip() not in ("", saved.cli_token)
        is_unrelated = is_other and saved.cli_token and saved.host != EMBEDDED
        if chosen.value == saved.host or not (chosen.value or is_unrelated):
            chosen = chosen if chosen.value else _Found(saved.host, saved.path)
            secret = secret if secret.value else _Found(saved.cli_token, saved.path)
    if chosen.value == EMBEDDED:
        return Target()
    origin = _checked_host(chosen.value, environment) if chosen.value else None
    checked_token = _token(secret.value or "")
    if checked_token and not origin:
        raise ConfigError(_without_host(secret.source, environment, words))
    if origin and not checked_token:
        raise ConfigError(_without_token(origin, chosen.source, environment, words))
    return Target(origin, checked_token, secret.source)


def _first(
    argument: str | None, name: str, environment: Mapping[str, str], variable: str
) -> _Found:
    if argument is not None:
        return _Found(argument, name)
    value = environment.get(variable, "")
    return _Found(value if value.strip() else None, variable)


def _without_host(source: str, environment: Mapping[str, str], words: CallerWords) -> str:
    saved = saved_credentials(environment)
    unused = f" ({saved.path} has one for its own token)" if saved.host else ""
    mend = f"name the server by {words.host} or ANYSCALE_HOST"
    if source.endswith(_FILE):
        mend = 'add "host": "https://..." to it'
    return f"{source} has a token, and there is no host{unused}: {mend}, or {words.embedded}"


def _without_token(
    origin: str, source: str, environment: Mapping[str, str], words: CallerWords
) -> str:
    saved = saved_credentials(environment)
    unused = ""
    if saved.cli_token and source != saved.path:
        which = "another host" if saved.host else 'no host (add "host" to it)'
        unused = f" ({saved.path} has a token for {which})"
    mend = words.token.format(origin)
    if source == saved.path:
        mend = f'add "cli_token" to it, {mend}'
    missing = f"there is no token for {origin}, named by {source}"
    return f"{missing}{unused}: {mend}, or {words.embedded}"


def credentials_path(environment: Mapping[str, str]) -> Path | None:
    """Return the path of the credentials file; None for a user without a home."""
    home = home_dir(environment)
    return home / _FILE if home else None


def saved_credentials(environment: Mapping[str, str]) -> _Saved:
    """Read the credentials file, if there is one.

    Raises:
        ConfigError: others can read it, or it cannot be read.
    """
    path = credentials_path(environment)
    if path is None:
        return _Saved()
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"others can read {path}: run `chmod 600 {path}`")
            read = json.decode(file.read(), type=Credentials)
    except FileNotFoundError:
        return _Saved()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except DECODE_ERRORS:
        raise ConfigError(
            f'{path} must hold {{"host": "...", "cli_token": "..."}}: correct it, or delete it'
        ) from None
    return _Saved(read.host or None, (read.cli_token or "").strip() or None, str(path))


def _token(text: str) -> str | None:
    """Strip blanks, such as the line end of a file. No message of an error quotes the token."""
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("the token has characters that a token cannot have: was it copied whole?")
    return token or None


def _checked_host(host: str, environment: Mapping[str, str]) -> str:
    try:
        origin = checked_origin(host)
    except ValueError as error:
        raise ConfigError(f"the host must be `{EMBEDDED}`, or {error}") from None
    is_plain = origin.startswith("http://") and not is_on_loopback(origin)
    if is_plain and environment.get("ANYSCALE_ALLOW_HTTP") != "1":
        raise ConfigError(
            f"{origin} would receive the token and the passwords unencrypted: use https://, "
            "or set ANYSCALE_ALLOW_HTTP=1 if the network is safe"
        )
    return origin
