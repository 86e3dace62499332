"""Which control plane is meant: argument, then environment, then file, then the embedded one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import DecodeError, Struct, ValidationError, json

from anyscale.errors import ConfigError

if TYPE_CHECKING:
    from anyscale.transport.base import Transport

__all__ = ["LOOPBACK", "Target", "open_transport", "resolve"]


class Target(Struct, frozen=True):
    """A served control plane; without a host, the embedded one."""

    host: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.host!r})"


class _Credentials(Struct, forbid_unknown_fields=True):
    host: str | None = None
    cli_token: str | None = None


def resolve(
    host: str | None, token: str | None, environment: Mapping[str, str] = os.environ
) -> Target:
    """Find the control plane that is meant.

    Args:
        host: the caller's, above all others.
        token: likewise.
        environment: where `ANYSCALE_HOST` and `ANYSCALE_CLI_TOKEN` may be.

    Raises:
        ConfigError: a host without a token, a token without a host, an unfit host, or a
            credentials file that others can read.
    """
    host = host or environment.get("ANYSCALE_HOST") or None
    token = _token(token or environment.get("ANYSCALE_CLI_TOKEN") or "")
    if not (host and token):
        saved = _credentials(environment)
        # Its token is for its host only.
        if host in (None, saved.host):
            host, token = saved.host, token or _token(saved.cli_token or "")
    if host:
        _check_host(host, environment)
    if token and not host:
        raise ConfigError("there is a token and no host: set ANYSCALE_HOST or pass --host")
    if host and not token:
        raise ConfigError(f"there is no token for {host}: set ANYSCALE_CLI_TOKEN")
    return Target(host, token)


def open_transport(target: Target, environment: Mapping[str, str] = os.environ) -> "Transport":
    """Make the transport to a control plane; only the module that it needs is loaded.

    Raises:
        ConfigError: a setting of the embedded control plane is wrong.
    """
    if target.host and target.token:
        from anyscale.transport.http import HttpTransport

        return HttpTransport(target.host, target.token)
    from anyscale.transport.embedded import EmbeddedTransport

    return EmbeddedTransport.from_environment(environment)


def _credentials(environment: Mapping[str, str]) -> _Credentials:
    path = Path(environment.get("HOME") or "~").expanduser() / ".anyscale" / "credentials.json"
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"others can read {path}: run `chmod 600 {path}`")
            return json.decode(file.read(), type=_Credentials)
    except FileNotFoundError:
        return _Credentials()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (DecodeError, ValidationError):
        raise ConfigError(f'{path} must hold {{"host": "...", "cli_token": "..."}}') from None


def _token(text: str) -> str | None:
    """Give a token without the line's end that reading it from a file leaves.

    Raises:
        ConfigError: it has characters that no token has. It is not shown.
    """
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("the token has characters that no token has: was it copied whole?")
    return token or None


LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LIKE = "the host must be like https://anyscale.example.com"


def _check_host(host: str, environment: Mapping[str, str]) -> None:
    if not host.lower().startswith(("https://", "http://")):
        raise ConfigError(f"https:// or http:// is missing: {_LIKE}")
    try:
        parts = urlsplit(host)
        name, _ = parts.hostname, parts.port
    except ValueError:
        name = None
        parts = urlsplit("")
    if not name or "@" in parts.netloc or parts.query:
        raise ConfigError(_LIKE)
    if parts.path not in ("", "/"):
        raise ConfigError(f"the host must have no path: {parts.scheme}://{parts.netloc}")
    plain = parts.scheme == "http" and name not in LOOPBACK
    if plain and environment.get("ANYSCALE_ALLOW_HTTP") != "1":
        raise ConfigError(
            f"{host} would send the token and the passwords unencrypted: use https://, "
            "or set ANYSCALE_ALLOW_HTTP=1 if the network is safe"
        )
