"""The settings of a control plane, from environment variables. No other module reads them."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from anyscale.domain.passwords import MAX_LENGTH
from anyscale.domain.phrases import is_by_admin
from anyscale.domain.validation import Policy
from anyscale.errors import ConfigError
from anyscale.server import environment_values as env
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.passkeys.relying_party import why_no_passkeys
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.login_options import LoginOptions
from anyscale.server.logo import Logo
from anyscale.server.paths import LINK_PAGE, SSO_CALLBACK

PREFIX = "ANYSCALE_"

#: the variables that the client and the server read
KNOWN_VARIABLES = frozenset(
    PREFIX + name
    for name in (
        "ALLOW_HTTP",
        "AUDIT_DAYS",
        "BATCH_CREATE",
        "BATCH_EXPIRY_DAYS",
        "CLI_TOKEN",
        "DATABASE_URL",
        "DATA_DIR",
        "HOST",
        "INITIAL_PASSWORD_DAYS",
        "LINK_DAYS",
        "LOGO",
        "MAIL_FROM",
        "MAIL_PER_MINUTE",
        "ORGANIZATION",
        "PASSWORD_MIN_LENGTH",
        "PORT",
        "PUBLIC_URL",
        "REPORT_DAYS",
        "RESERVATION_WAIT_SECONDS",
        "SECOND_FACTOR",
        "SECOND_FACTOR_DAYS",
        "SECOND_FACTOR_KEYS",
        "SIGNING_KEYS",
        "SMTP_HOST",
        "SMTP_PASSWORD_FILE",
        "SMTP_PORT",
        "SMTP_TLS",
        "SMTP_USER",
        "SSO_CLIENT_ID",
        "SSO_CLIENT_SECRET_FILE",
        "SSO_DOMAINS",
        "SSO_ISSUER",
        "SSO_ONLY",
        "SSO_SECOND_FACTOR",
        "WORKERS",
    )
)

_LOOPBACK = "127.0.0.1,::1"

_NO_ADDRESS = (
    "ANYSCALE_PUBLIC_URL is not set where the control plane runs: set it to the address where "
    "people reach it, like https://accounts.example.com, and restart it"
)
_NO_ADDRESS_OF_SERVER = (
    "ANYSCALE_PUBLIC_URL is not set: run `export ANYSCALE_PUBLIC_URL=https://accounts.example.com` "
    "first, with the address of your server"
)
_NO_ADDRESS_IN_FILE = (
    "ANYSCALE_PUBLIC_URL is not set: set it in /etc/musterroll/environment to the address where "
    "people reach the server, like https://accounts.example.com, and restart the server"
)


class Settings(SensitiveStruct, frozen=True, kw_only=True):
    """The settings of one control plane."""

    #: The SQLite file, or the URL of a PostgreSQL database, which may contain a password.
    database: Path | str
    #: Whether batches may be created at all.
    batch_create: bool = True
    policy: Policy = Policy()
    #: The address where users reach the control plane: `https://accounts.example.com`.
    public_url: str | None = None
    #: The name on the pages; empty for that of this program.
    organization: str = ""
    #: The picture in place of the name on the pages of a server; None if there is none.
    logo: Logo | None = None
    #: The addresses and networks of proxies whose `X-Forwarded-*` headers count; `*` for any.
    trusted_proxies: str = _LOOPBACK
    #: The folder of the keys that sign ID tokens for applications; it may be missing.
    signing_keys: Path | None = None
    #: The folder of the keys that encrypt the seeds of one-time codes; it may be missing.
    second_factor_keys: Path | None = None
    #: The identity provider where users sign in; None if there is none.
    provider: ProviderSettings | None = None
    #: The relay that takes our mails; None if there is none.
    mail: MailSettings | None = None
    #: who has to have a second factor
    second_factor: SecondFactorPolicy = SecondFactorPolicy()
    #: Whether a server has them, and not an embedded control plane.
    served: bool = True
    #: Whether `musterroll-admin` runs this command.
    by_admin: bool = False
    #: days after which a one-time link expires
    link_days: int = 7
    #: days after which a password that an administrator set expires, unless it was changed
    initial_password_days: int = 30
    #: days after the last request after which an open batch expires
    batch_expiry_days: int = 7
    #: days that conflicts of published batches, and dropped batches, are stored
    report_days: int = 90
    #: days that audit entries are stored; None: without a limit
    audit_days: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, served: bool) -> "Settings":
        """Read the settings; only a server (`served`) supports PostgreSQL.

        Raises:
            ConfigError: variables are wrong; it has a message for each, with its name and its valid
                values.
        """
        reader = env.EnvironmentReader(environment)
        read = reader.read
        database = read(env.database, served=served)
        organization = read(env.organization, "ANYSCALE_ORGANIZATION")
        settings = cls(
            database=database,
            batch_create=read(env.flag, "ANYSCALE_BATCH_CREATE", default=True),
            policy=Policy(
                password_min_length=read(
                    env.number, "ANYSCALE_PASSWORD_MIN_LENGTH", 8, 8, MAX_LENGTH
                ),
                sso_only=read(env.flag, "ANYSCALE_SSO_ONLY", default=False),
                organization=organization or "",
                reservation_wait=read(env.number, "ANYSCALE_RESERVATION_WAIT_SECONDS", 60, 0, 3600),
            ),
            public_url=read(env.public_url, "ANYSCALE_PUBLIC_URL"),
            organization=organization,
            logo=read(env.logo, "ANYSCALE_LOGO") if served else None,
            trusted_proxies=environment.get("FORWARDED_ALLOW_IPS", _LOOPBACK),
            signing_keys=read(env.keys, "ANYSCALE_SIGNING_KEYS", database, "signing-keys"),
            second_factor_keys=read(
                env.keys, "ANYSCALE_SECOND_FACTOR_KEYS", database, "second-factor-keys"
            ),
            second_factor=SecondFactorPolicy(
                read(env.second_factor, "ANYSCALE_SECOND_FACTOR"),
                read(env.number, "ANYSCALE_SECOND_FACTOR_DAYS", 14, 0, 365),
            ),
            served=served,
            by_admin=is_by_admin(environment),
            provider=_provider(reader),
            mail=_mail(reader) if served else None,
            link_days=read(env.number, "ANYSCALE_LINK_DAYS", 7, 1, 30),
            initial_password_days=read(env.number, "ANYSCALE_INITIAL_PASSWORD_DAYS", 30, 1, 3650),
            batch_expiry_days=read(env.number, "ANYSCALE_BATCH_EXPIRY_DAYS", 7, 1, 365),
            report_days=read(env.number, "ANYSCALE_REPORT_DAYS", 90, 1, 3650),
            audit_days=read(env.number, "ANYSCALE_AUDIT_DAYS", 0, 30, 36500) or None,
        )
        if reader.errors:
            raise ConfigError(*reader.errors)
        return settings

    @property
    def has_provider(self) -> bool:
        return self.provider is not None

    @property
    def login_options(self) -> LoginOptions:
        policy = self.policy
        return LoginOptions(
            has_passwords=not policy.sso_only,
            has_sso=self.has_provider,
            password_min_length=policy.password_min_length,
            has_mail=self.mail is not None,
            has_second_factors=self.second_factor.is_on,
            organization=self.organization,
            logo=self.logo,
            no_passkeys=why_no_passkeys(self.public_url),
        )

    @property
    def is_only_server(self) -> bool:
        """Whether no other server has the database, so that a key of its own is enough."""
        return isinstance(self.database, Path)

    @property
    def is_reached_by_tls(self) -> bool:
        """Whether users reach the control plane only by TLS, as its public address says."""
        return (self.public_url or "").startswith("https://")

    def link_page(self) -> str:
        """Return the URL of the page that takes a one-time link, or raise `ConfigError`."""
        return self.address() + LINK_PAGE

    def sso_redirect_uri(self) -> str:
        """Return the URL that the identity provider redirects to, or raise `ConfigError`."""
        return self.address() + SSO_CALLBACK

    def address(self) -> str:
        """Return the address where users reach the control plane, or raise `ConfigError`."""
        if self.public_url is not None:
            return self.public_url
        if self.by_admin:
            raise ConfigError(_NO_ADDRESS_IN_FILE)
        raise ConfigError(_NO_ADDRESS if self.served else _NO_ADDRESS_OF_SERVER)


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
        reader = env.EnvironmentReader(environment)
        port = reader.read(env.port, "ANYSCALE_PORT") if port is None else port
        if workers is None:
            workers = reader.read(env.number, "ANYSCALE_WORKERS", 1, 1, 256)
        if port is None or workers is None:
            raise ConfigError(*reader.errors)
        return cls(port, workers)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that nothing reads, with the name that is nearest."""
    names = {name for name in environment if name.startswith(PREFIX)}
    return [_unknown(name) for name in sorted(names - KNOWN_VARIABLES)]


def _unknown(variable: str) -> str:
    from difflib import get_close_matches

    # Without the prefix, which makes all of them alike.
    suffixes = [name.removeprefix(PREFIX) for name in KNOWN_VARIABLES]
    similar = get_close_matches(variable.removeprefix(PREFIX), suffixes, n=1)
    suggestion = f": did you mean {PREFIX}{similar[0]}?" if similar else ""
    return f"{variable} is not known{suggestion}"


_NEED_ISSUER = (
    "ANYSCALE_SSO_CLIENT_ID",
    "ANYSCALE_SSO_CLIENT_SECRET_FILE",
    "ANYSCALE_SSO_DOMAINS",
    "ANYSCALE_SSO_SECOND_FACTOR",
)


def _provider(reader: env.EnvironmentReader) -> ProviderSettings | None:
    issuer = reader.read(env.url, "ANYSCALE_SSO_ISSUER")
    if issuer == "":
        reader.read(env.unused, "ANYSCALE_SSO_ISSUER", *_NEED_ISSUER)
        return None
    needed_by = "sign-in at ANYSCALE_SSO_ISSUER"
    reader.read(env.required, "ANYSCALE_PUBLIC_URL", needed_by)
    return ProviderSettings(
        issuer=issuer,
        client_id=reader.read(env.visible, "ANYSCALE_SSO_CLIENT_ID", needed_by),
        client_secret=reader.read(
            env.secret, "ANYSCALE_SSO_CLIENT_SECRET_FILE", "the client's secret"
        ),
        domains=reader.read(env.domains, "ANYSCALE_SSO_DOMAINS"),
        factor=reader.read(env.provider_factor, "ANYSCALE_SSO_SECOND_FACTOR"),
    )


_NEED_RELAY = (
    "ANYSCALE_SMTP_PORT",
    "ANYSCALE_SMTP_TLS",
    "ANYSCALE_SMTP_USER",
    "ANYSCALE_SMTP_PASSWORD_FILE",
    "ANYSCALE_MAIL_FROM",
    "ANYSCALE_MAIL_PER_MINUTE",
)


def _mail(reader: env.EnvironmentReader) -> MailSettings | None:
    host = reader.read(env.host, "ANYSCALE_SMTP_HOST")
    if host == "":
        reader.read(env.unused, "ANYSCALE_SMTP_HOST", *_NEED_RELAY)
        return None
    needed_by = "mail by ANYSCALE_SMTP_HOST"
    reader.read(env.required, "ANYSCALE_PUBLIC_URL", needed_by)  # links are built from it only
    user, password = _relay_login(reader)
    return MailSettings(
        host=host,
        port=reader.read(env.number, "ANYSCALE_SMTP_PORT", 587, 1, 65535),
        tls=reader.read(env.relay_tls, "ANYSCALE_SMTP_TLS", host),
        user=user,
        password=password,
        sender=reader.read(env.email, "ANYSCALE_MAIL_FROM", needed_by),
        per_minute=reader.read(env.number, "ANYSCALE_MAIL_PER_MINUTE", 60, 1, 60_000),
    )


def _relay_login(reader: env.EnvironmentReader) -> tuple[str, str]:
    user, file = "ANYSCALE_SMTP_USER", "ANYSCALE_SMTP_PASSWORD_FILE"
    if not reader.read(env.named, user, file):
        return "", ""
    reader.read(env.required, file, user)
    password = reader.read(env.secret, file, "the password of the relay")
    return reader.read(env.visible, user, file), password
