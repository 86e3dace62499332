"""Find the control plane to use: argument, then environment, then file, then the embedded one."""

import os
from collections.abc import Mapping

from msgspec import DecodeError, Struct, ValidationError, json

from anyscale.domain.data_dir import home_dir
from anyscale.domain.urls import checked_origin, is_on_loopback
from anyscale.errors import ConfigError

__all__ = ["Target", "resolve"]


class Target(Struct, frozen=True):
    """The control plane of a server; without a host, the embedded one."""

    host: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.host!r})"


class _Credentials(Struct, forbid_unknown_fields=True):
    host: str | None = None
    cli_token: str | None = None

    def __repr__(self) -> str:
        return f"_Credentials({self.host!r})"


def resolve(
    host: str | None, token: str | None, environment: Mapping[str, str] = os.environ
) -> Target:
    """Find the control plane to use.

    The arguments override `ANYSCALE_HOST` and `ANYSCALE_CLI_TOKEN` of the environment, and these
    override the credentials file.

    Raises:
        ConfigError: there is a host without a token or a token without a host, the host is
            wrong, or others can read the credentials file.
    """
    host = host or environment.get("ANYSCALE_HOST") or None
    token = _token(token or environment.get("ANYSCALE_CLI_TOKEN") or "")
    if not (host and token):
        saved = _credentials(environment)
        # The file's token is for the file's host only.
        if host in (None, saved.host):
            host, token = saved.host, token or _token(saved.cli_token or "")
    if host:
        host = _checked_host(host, environment)
    if token and not host:
        raise ConfigError("there is a token and no host: set ANYSCALE_HOST or pass --host")
    if host and not token:
        raise ConfigError(f"there is no token for {host}: set ANYSCALE_CLI_TOKEN")
    return Target(host, token)


def _credentials(environment: Mapping[str, str]) -> _Credentials:
    home = home_dir(environment)
    if home is None:
        return _Credentials()
    path = home / ".anyscale" / "credentials.json"
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
    """Strip blanks, such as the line end of a file. No message of an error quotes the token."""
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("the token has characters that no token has: was it copied whole?")
    return token or None


def _checked_host(host: str, environment: Mapping[str, str]) -> str:
    try:
        origin = checked_origin(host)
    except ValueError as error:
        raise ConfigError(f"the host must be {error}") from None
    is_plain = origin.startswith("http://") and not is_on_loopback(origin)
    if is_plain and environment.get("ANYSCALE_ALLOW_HTTP") != "1":
        raise ConfigError(
            f"{origin} would receive the token and the passwords unencrypted: use https://, "
            "or set ANYSCALE_ALLOW_HTTP=1 if the network is safe"
        )
    return origin
