"""Reads the values of environment variables: a function for each kind of value.

Each function raises `ConfigError` with the name of the variable and its valid values. `settings`
uses them by `EnvironmentReader`, which collects the messages.
"""

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from anyscale.domain.data_dir import checked_folder, checked_path, data_dir
from anyscale.domain.emails import email_key
from anyscale.domain.passwords import FORBIDDEN
from anyscale.domain.urls import (
    checked_origin,
    checked_url,
    is_address,
    is_loopback_host,
    wrong_database_url,
)
from anyscale.domain.validation import MAX_TEXT
from anyscale.errors import ConfigError
from anyscale.server.core.mail.settings import RelayTls
from anyscale.server.core.second_factor.policy import SecondFactorMode
from anyscale.server.core.sso.settings import ProviderFactor
from anyscale.server.logo import MOST_OCTETS, Logo, picture_type

_ON = {"on": True, "1": True, "true": True, "yes": True}
_OFF = {"off": False, "0": False, "false": False, "no": False}

_DIGITS = 9

#: values of `amr` that any sign-in may have (RFC 8176, 2)
_ONE_FACTOR = frozenset({"pwd", "pin"})

#: Other tools do not take these paths of a URL for a file.
_NO_FILES = ("/", "/:memory:")

_SECRET_LENGTH = 4096

_is_host_name = re.compile(r"(?!.{254})[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*").fullmatch


class EnvironmentReader:
    """Reads variables, and collects the messages for all that are wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.errors: list[str] = []

    def read(self, read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what a function reads; None if it raises `ConfigError`."""
        try:
            return read(self._environment, *arguments, **options)
        except ConfigError as error:
            # A wrong data directory is one thing, which several settings need.
            self.errors += (one for one in error.args if one not in self.errors)
            return None


def public_url(environment: Mapping[str, str], name: str) -> str | None:
    """Return the address of the server, without a path; None if the variable is empty."""
    text = environment.get(name, "").strip()
    try:
        return checked_url(checked_origin(text)) if text else None
    except ValueError:
        raise ConfigError(
            f"{name} must be like https://accounts.example.com, without a path, and "
            "contain no name and no password; http:// is only for this machine"
        ) from None


def organization(environment: Mapping[str, str], name: str) -> str:
    """Return a name for the pages; empty if there is none."""
    text = environment.get(name, "").strip()
    if FORBIDDEN.search(text) or len(text) > MAX_TEXT:
        raise ConfigError(f"{name} must have at most {MAX_TEXT} characters, all of them visible")
    return text


def logo(environment: Mapping[str, str], name: str) -> Logo | None:
    """Return the picture in the file that a variable names; None if it names none."""
    path = environment.get(name, "").strip()
    if not path:
        return None
    try:
        # A named pipe would wait for its writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise ConfigError(f"{name}: {path} is not a regular file")
        with Path(path).open("rb") as file:
            content = file.read(MOST_OCTETS + 1)
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from None
    if len(content) > MOST_OCTETS:
        raise ConfigError(
            f"{name}: {path} has more than {MOST_OCTETS // 1024} KiB: make it smaller"
        )
    media_type = picture_type(content)
    if media_type is None:
        raise ConfigError(f"{name}: {path} is not a picture: save it as SVG, PNG or WebP")
    return Logo(content, media_type)


def database(environment: Mapping[str, str], *, served: bool) -> Path | str:
    """Return the SQLite file or the URL of PostgreSQL, which only a server (`served`) supports."""
    url = environment.get("ANYSCALE_DATABASE_URL", "").strip()
    if not url:
        return default_database(environment)
    scheme, _, path = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        if served:
            return url
        # The message omits the URL, which may contain a password.
        raise ConfigError(
            "ANYSCALE_DATABASE_URL names a PostgreSQL database, and PostgreSQL needs a server, "
            "since a direct connection would bypass the tokens: set ANYSCALE_HOST and "
            "ANYSCALE_CLI_TOKEN, or sqlite:///path here"
        )
    if scheme != "sqlite" or not path.startswith("/") or path in _NO_FILES:
        raise ConfigError(wrong_database_url(url, served=served))
    # Three slashes begin a relative path and four an absolute one, as in other tools. We return an
    # absolute path, because it identifies the database of a run in any working directory.
    file = Path(checked_path("ANYSCALE_DATABASE_URL", path.removeprefix("/"))).absolute()
    checked_folder("ANYSCALE_DATABASE_URL names a database in", file.parent, "name one in a folder")
    return file


def default_database(environment: Mapping[str, str]) -> Path:
    """Return the SQLite file that is used if no URL names a database."""
    return data_dir(environment) / "anyscale.db"


def keys(
    environment: Mapping[str, str], name: str, database: Path | str | None, default: str
) -> Path:
    """Return a folder of keys: by default one of a name beside a SQLite file."""
    path = environment.get(name, "").strip()
    if not path:
        folder = database.parent if isinstance(database, Path) else data_dir(environment)
        return folder / default
    return Path(checked_path(name, path)).absolute()


def named(environment: Mapping[str, str], *names: str) -> list[str]:
    """Return those of some variables that have a value."""
    return [name for name in names if environment.get(name, "").strip()]


def required(environment: Mapping[str, str], name: str, needed_by: str) -> str:
    """Return a text that something else needs, such as `sign-in at ANYSCALE_SSO_ISSUER`."""
    text = environment.get(name, "").strip()
    if not text:
        raise ConfigError(f"{name} is missing: {needed_by} needs it")
    return text


def unused(environment: Mapping[str, str], missing: str, *names: str) -> None:
    """Refuse variables that mean nothing without another one, which is missing."""
    if found := named(environment, *names):
        raise ConfigError(f"{missing} is missing, and {', '.join(found)} needs it")


def host(environment: Mapping[str, str], name: str) -> str:
    """Return the name or the address of a host; empty if the variable is empty."""
    text = environment.get(name, "").strip()
    if text and not (is_address(text) or _is_host_name(text)):
        raise ConfigError(f"{name} must be a host like mail.example.com, without a port")
    return text


def email(environment: Mapping[str, str], name: str, needed_by: str) -> str:
    """Return a required email."""
    text = required(environment, name, needed_by)
    try:
        email_key(text)
    except ValueError:
        raise ConfigError(f"{name} must be an email like accounts@example.com") from None
    return text


def relay_tls(environment: Mapping[str, str], name: str, host: str | None) -> str:
    """Return how the connection to the relay on a host is encrypted."""
    text = environment.get(name, "").strip().lower() or "starttls"
    if text not in get_args(RelayTls):
        raise ConfigError(f"{name} must be starttls, tls or none")
    if text == "none" and not is_loopback_host(host or ""):
        raise ConfigError(
            f"{name} may be none only if ANYSCALE_SMTP_HOST is this machine, such as 127.0.0.1: "
            "links would travel unencrypted"
        )
    return text


def second_factor(environment: Mapping[str, str], name: str) -> str:
    """Return who has to have a second factor."""
    text = environment.get(name, "").strip().lower() or "optional"
    if text not in get_args(SecondFactorMode):
        raise ConfigError(f"{name} must be off, optional, owners or everyone")
    return text


def url(environment: Mapping[str, str], name: str) -> str:
    """Return a URL; empty if the variable is empty."""
    text = environment.get(name, "").strip()
    try:
        return checked_url(text) if text else ""
    except ValueError as error:
        raise ConfigError(f"{name} must be {error}") from None


def visible(environment: Mapping[str, str], name: str, needed_by: str) -> str:
    """Return a required text of visible ASCII characters."""
    text = required(environment, name, needed_by)
    if not (text.isascii() and text.isprintable()):  # RFC 6749, appendix A.1
        raise ConfigError(f"{name} must contain visible ASCII characters only")
    return text


def secret(environment: Mapping[str, str], name: str, what: str) -> str | None:
    """Return the content of the file that a variable names; None if it names none.

    `what` is for the message: "the client's secret".
    """
    path = environment.get(name, "").strip()
    if not path:
        return None
    try:
        with Path(path).open(encoding="ascii") as file:
            # A group may read it: secrets that are mounted into a container have such a mode.
            if os.fstat(file.fileno()).st_mode & 0o037:
                raise ConfigError(f"{name}: others can read {path}: run `chmod 600 {path}`")
            text = file.read(_SECRET_LENGTH + 1).strip()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if not (0 < len(text) < _SECRET_LENGTH and text.isprintable()):
        raise ConfigError(f"{name}: {path} must contain {what}, on one line, in ASCII")
    return text


def domains(environment: Mapping[str, str], name: str) -> frozenset[str]:
    """Return the A-labels of domains with commas between."""
    domains = [text.strip() for text in environment.get(name, "").split(",")]
    try:
        # They follow the rules of the email addresses with which they are compared.
        return frozenset(email_key(f"x@{text}").partition("@")[2] for text in domains if text)
    except ValueError:
        raise ConfigError(f"{name} must be domains with commas between: example.com") from None


def provider_factor(environment: Mapping[str, str], name: str) -> ProviderFactor | None:
    """Return what of an ID token says that two factors were shown; None for nothing."""
    text = environment.get(name, "").strip()
    if not text:
        return None
    claim, _, listed = text.partition(":")
    values = frozenset(one.strip() for one in listed.split(","))
    is_complete = all(values) and listed.isascii() and listed.isprintable()
    if claim not in ("amr", "acr") or not is_complete:
        raise ConfigError(
            f"{name} must be a claim and its values, like amr:mfa,hwk or acr:the-level"
        )
    if claim == "amr" and (single := values & _ONE_FACTOR):
        raise ConfigError(
            f"{name} must not have amr:{', '.join(sorted(single))}, which is one factor by itself"
        )
    return ProviderFactor(claim, values)


def flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return whether a flag is on."""
    text = environment.get(name, "").strip().lower()
    if not text:
        return default
    value = (_ON | _OFF).get(text)
    if value is None:
        raise ConfigError(f"{name} must be on or off")
    return value


def number(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number between two others."""
    text = environment.get(name, "").strip()
    if not text:
        return default
    short = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not (short and least <= int(text) <= most):
        raise ConfigError(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def port(environment: Mapping[str, str], name: str) -> int:
    """Return the port of the server."""
    # Kubernetes sets {SERVICE}_PORT for each Service in each pod of its namespace, as Docker did.
    if "://" in environment.get(name, ""):
        raise ConfigError(
            f"{name} is an address, as Kubernetes sets it in pods beside a Service with the "
            "name `anyscale`: write `enableServiceLinks: false` into the spec of the pod, or pass "
            "--port"
        )
    return number(environment, name, 8000, 0, 65535)
