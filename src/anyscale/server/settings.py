"""The settings of a control plane, from environment variables. The only module that reads them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from anyscale.data_dir import data_dir, no_tilde
from anyscale.errors import ConfigError
from anyscale.server.core.oidc.provider_settings import ProviderSettings
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.login_options import LoginOptions
from anyscale.urls import checked_origin, checked_url, wrong_database_url
from anyscale.user.emails import email_key
from anyscale.user.passwords import FORBIDDEN, MAX_LENGTH
from anyscale.user.validation import MAX_TEXT, Policy

__all__ = ["ListenSettings", "Settings"]

_ON = {"on": True, "1": True, "true": True, "yes": True}
_OFF = {"off": False, "0": False, "false": False, "no": False}

_DIGITS = 9

#: paths of URLs that other tools do not take for a file
_NO_FILES = ("/", "/:memory:")

_SECRET_LENGTH = 4096

_LOOPBACK = "127.0.0.1,::1"


class Settings(SensitiveStruct, frozen=True, kw_only=True):
    """The settings of one control plane."""

    #: The SQLite file, or the URL of a PostgreSQL database, which may hold a password.
    database: Path | str
    #: Whether batches may be created at all.
    batch_create: bool = True
    policy: Policy = Policy()
    #: The address at which users reach the control plane: `https://accounts.example.com`.
    public_url: str | None = None
    #: The name on the pages; empty for that of this program.
    organization: str = ""
    #: The addresses and networks of proxies whose `X-Forwarded-*` headers count; `*` for any.
    trusted_proxies: str = _LOOPBACK
    #: The identity provider at which users sign in; None if there is none.
    provider: ProviderSettings | None = None
    #: days after which a one-time link expires
    link_days: int = 7
    #: days after which a password that an administrator set expires, unless it was changed
    initial_password_days: int = 30
    #: days after the last request after which an open batch expires
    batch_expiry_days: int = 7
    #: days for which conflicts of published batches, and dropped batches, are stored
    report_days: int = 90
    #: days for which audit entries are stored; None for ever
    audit_days: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, served: bool) -> "Settings":
        """Read the settings; only a server (`served`) supports PostgreSQL.

        Raises:
            ConfigError: variables are wrong; it has a message for each, with its name and its valid
                values.
        """
        reader = _Reader(environment)
        read = reader.read
        settings = cls(
            database=read(_database, served=served),
            batch_create=read(_flag, "ANYSCALE_BATCH_CREATE", default=True),
            policy=Policy(
                password_min_length=read(_number, "ANYSCALE_PASSWORD_MIN_LENGTH", 8, 8, MAX_LENGTH),
                sso_only=read(_flag, "ANYSCALE_SSO_ONLY", default=False),
                hold_wait=read(_number, "ANYSCALE_HOLD_WAIT_SECONDS", 60, 0, 3600),
            ),
            public_url=read(_public_url, "ANYSCALE_PUBLIC_URL"),
            organization=read(_organization, "ANYSCALE_ORGANIZATION"),
            trusted_proxies=environment.get("FORWARDED_ALLOW_IPS", _LOOPBACK),
            provider=_provider(reader),
            link_days=read(_number, "ANYSCALE_LINK_DAYS", 7, 1, 30),
            initial_password_days=read(_number, "ANYSCALE_INITIAL_PASSWORD_DAYS", 30, 1, 3650),
            batch_expiry_days=read(_number, "ANYSCALE_BATCH_EXPIRY_DAYS", 7, 1, 365),
            report_days=read(_number, "ANYSCALE_REPORT_DAYS", 90, 1, 3650),
            audit_days=read(_number, "ANYSCALE_AUDIT_DAYS", 0, 30, 36500) or None,
        )
        if reader.errors:
            raise ConfigError(*reader.errors)
        return settings

    @property
    def sso(self) -> bool:
        """Whether there is an identity provider, at which SSO users sign in."""
        return self.provider is not None

    @property
    def login_options(self) -> LoginOptions:
        """The sign-in methods."""
        policy = self.policy
        return LoginOptions(
            not policy.sso_only, self.sso, policy.password_min_length, self.organization
        )

    @property
    def is_reached_by_tls(self) -> bool:
        """Whether users reach the control plane by TLS alone, as its public address says."""
        return (self.public_url or "").startswith("https://")

    def address(self) -> str:
        """Return the address at which users reach the control plane, or raise `ConfigError`."""
        if self.public_url is None:
            raise ConfigError(
                "ANYSCALE_PUBLIC_URL is not set where the control plane runs: set it to the "
                "address by which people reach it, like https://accounts.example.com, and restart "
                "it"
            )
        return self.public_url


class ListenSettings(Struct, frozen=True):
    """Where `anyscale server start` listens, and by how many processes."""

    port: int
    workers: int

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], *, port: int | None, workers: int | None
    ) -> "ListenSettings":
        """Read the settings that no option of the command (`port`, `workers`) replaces.

        Raises:
            ConfigError: variables are wrong, with a message for each that has its valid values.
        """
        reader = _Reader(environment)
        port = reader.read(_port, "ANYSCALE_PORT") if port is None else port
        if workers is None:
            workers = reader.read(_number, "ANYSCALE_WORKERS", 1, 1, 256)
        if port is None or workers is None:
            raise ConfigError(*reader.errors)
        return cls(port, workers)


def _port(environment: Mapping[str, str], name: str) -> int:
    # Kubernetes sets {SERVICE}_PORT for each Service in each pod of its namespace, as Docker did.
    if "://" in environment.get(name, ""):
        raise ConfigError(
            f"{name} is an address, as Kubernetes sets it in pods beside a Service with the "
            "name `anyscale`: write `enableServiceLinks: false` into the spec of the pod, or pass "
            "--port"
        )
    return _number(environment, name, 8000, 0, 65535)


class _Reader:
    """Reads variables, and collects the messages for all that are wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.errors: list[str] = []

    def read(self, read: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Return what a function reads; None if it raises `ConfigError`."""
        try:
            return read(self._environment, *arguments, **options)
        except ConfigError as error:
            self.errors += error.args
            return None


def _public_url(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(name, "").strip()
    try:
        return checked_url(checked_origin(text)) if text else None
    except ValueError:
        raise ConfigError(
            f"{name} must be like https://accounts.example.com, without a path, and "
            "hold no name and no password; http:// is for this machine alone"
        ) from None


def _organization(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip()
    if FORBIDDEN.search(text) or len(text) > MAX_TEXT:
        raise ConfigError(f"{name} must have at most {MAX_TEXT} characters, all of them visible")
    return text


def _database(environment: Mapping[str, str], *, served: bool) -> Path | str:
    url = environment.get("ANYSCALE_DATABASE_URL", "").strip()
    if not url:
        return data_dir(environment) / "anyscale.db"
    scheme, _, path = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        if served:
            return url
        # Without the URL, which may contain a password.
        raise ConfigError(
            "ANYSCALE_DATABASE_URL names a PostgreSQL database, and PostgreSQL needs a server, "
            "since a direct connection would bypass the tokens: set ANYSCALE_HOST and "
            "ANYSCALE_CLI_TOKEN, or sqlite:///path here"
        )
    if scheme != "sqlite" or not path.startswith("/") or path in _NO_FILES:
        raise ConfigError(wrong_database_url(url, served=served))
    # As in other tools: three slashes for a relative path, four for an absolute one.
    # Absolute, so that a run is of one database wherever the command is started.
    return Path(no_tilde("ANYSCALE_DATABASE_URL", path.removeprefix("/"))).absolute()


def _provider(reader: _Reader) -> ProviderSettings | None:
    issuer = reader.read(_url, "ANYSCALE_OIDC_ISSUER")
    if issuer == "":
        reader.read(_no_provider, "ANYSCALE_OIDC_")
        return None
    reader.read(_required, "ANYSCALE_PUBLIC_URL")
    return ProviderSettings(
        issuer=issuer,
        client_id=reader.read(_visible, "ANYSCALE_OIDC_CLIENT_ID"),
        client_secret=reader.read(_secret, "ANYSCALE_OIDC_CLIENT_SECRET_FILE"),
        domains=reader.read(_domains, "ANYSCALE_OIDC_DOMAINS"),
    )


def _no_provider(environment: Mapping[str, str], prefix: str) -> None:
    if any(text.strip() for name, text in environment.items() if name.startswith(prefix)):
        raise ConfigError("ANYSCALE_OIDC_ISSUER is missing, and other ANYSCALE_OIDC_... are set")


def _required(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip()
    if not text:
        raise ConfigError(f"{name} is missing: sign-in at ANYSCALE_OIDC_ISSUER needs it")
    return text


def _url(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip()
    try:
        return checked_url(text) if text else ""
    except ValueError as error:
        raise ConfigError(f"{name} must be {error}") from None


def _visible(environment: Mapping[str, str], name: str) -> str:
    text = _required(environment, name)
    if not (text.isascii() and text.isprintable()):  # RFC 6749, appendix A.1
        raise ConfigError(f"{name} must hold visible ASCII characters only")
    return text


def _secret(environment: Mapping[str, str], name: str) -> str | None:
    path = environment.get(name, "").strip()
    if not path:
        return None
    try:
        with Path(path).open(encoding="ascii") as file:
            # A group may read it, as of secrets that are mounted into a container.
            if os.fstat(file.fileno()).st_mode & 0o037:
                raise ConfigError(f"{name}: others can read {path}: run `chmod 600 {path}`")
            text = file.read(_SECRET_LENGTH + 1).strip()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""
    if not (0 < len(text) < _SECRET_LENGTH and text.isprintable()):
        raise ConfigError(f"{name}: {path} must hold the client's secret, on one line, in ASCII")
    return text


def _domains(environment: Mapping[str, str], name: str) -> frozenset[str]:
    domains = [text.strip() for text in environment.get(name, "").split(",")]
    try:
        # By the rules of the email addresses that they are compared with.
        return frozenset(email_key(f"x@{text}").partition("@")[2] for text in domains if text)
    except ValueError:
        raise ConfigError(f"{name} must be domains with commas between: example.com") from None


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if not text:
        return default
    value = (_ON | _OFF).get(text)
    if value is None:
        raise ConfigError(f"{name} must be on or off")
    return value


def _number(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    short = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not (short and least <= int(text) <= most):
        raise ConfigError(f"{name} must be a whole number from {least} to {most}")
    return int(text)
