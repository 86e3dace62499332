"""The settings of an operator, from the environment."""

import os
import pwd
import re
from pathlib import Path

import pytest

from anyscale.domain.validation import Policy
from anyscale.errors import ConfigError
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.sso.settings import ProviderFactor, ProviderSettings
from anyscale.server.settings import Settings


def read(**environment: str) -> Settings:
    return Settings.from_environment(environment, served=False)


def test_an_empty_environment_has_the_defaults() -> None:
    found = read(HOME="/home/jane")
    assert found.database == Path("/home/jane/.local/share/anyscale/anyscale.db")
    assert found.batch_create
    assert found.policy == Policy()
    assert (found.policy.password_min_length, found.policy.reservation_wait) == (8, 60)
    assert found.batch_expiry_days == 7
    assert found.trusted_proxies == "127.0.0.1,::1"


def test_every_setting_is_read() -> None:
    found = read(
        ANYSCALE_DATABASE_URL="sqlite:////srv/roll.db",
        ANYSCALE_BATCH_CREATE="off",
        ANYSCALE_PASSWORD_MIN_LENGTH="15",
        ANYSCALE_SSO_ONLY="on",
        ANYSCALE_RESERVATION_WAIT_SECONDS="0",
        ANYSCALE_BATCH_EXPIRY_DAYS="30",
        ANYSCALE_SIGNING_KEYS="/etc/keys",
        ANYSCALE_SECOND_FACTOR_KEYS="/etc/other-keys",
        FORWARDED_ALLOW_IPS="10.0.0.5",
    )
    policy = Policy(password_min_length=15, sso_only=True, reservation_wait=0)
    assert found == Settings(
        database=Path("/srv/roll.db"),
        batch_create=False,
        policy=policy,
        batch_expiry_days=30,
        signing_keys=Path("/etc/keys"),
        second_factor_keys=Path("/etc/other-keys"),
        served=False,
        trusted_proxies="10.0.0.5",
    )


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"ANYSCALE_DATA_DIR": "/srv/data"}, "/srv/data/anyscale.db"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/anyscale/anyscale.db"),
        ({"XDG_DATA_HOME": "/xdg", "ANYSCALE_DATA_DIR": "/srv"}, "/srv/anyscale.db"),
        ({"ANYSCALE_DATABASE_URL": "sqlite:///here.db", "ANYSCALE_DATA_DIR": "/srv"}, "here.db"),
        ({"ANYSCALE_DATABASE_URL": "", "ANYSCALE_DATA_DIR": "/srv"}, "/srv/anyscale.db"),
        # A Secret that was created from a file contains the end of its line.
        ({"ANYSCALE_DATABASE_URL": "sqlite:////srv/roll.db\n"}, "/srv/roll.db"),
        # The XDG specification: a relative path is ignored.
        ({"XDG_DATA_HOME": "rel", "HOME": "/j"}, "/j/.local/share/anyscale/anyscale.db"),
        ({"XDG_DATA_HOME": "", "HOME": "/j"}, "/j/.local/share/anyscale/anyscale.db"),
    ],
)
def test_the_environment_names_the_database(environment: dict[str, str], path: str) -> None:
    assert read(**environment).database == Path(path).absolute()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://host.db",
        "here.db",
        "mysql://x/y",
        "sqlite:/x",
        "://",
        "sqlite:///:memory:",
    ],
)
def test_a_url_without_a_sqlite_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="ANYSCALE_DATABASE_URL must be sqlite:///path"):
        read(ANYSCALE_DATABASE_URL=url)


@pytest.mark.parametrize("home", ["", "~", "rel"])
def test_without_a_home_in_the_environment_it_is_the_systems(home: str) -> None:
    system = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert read(HOME=home).database == system / ".local/share/anyscale/anyscale.db"


def test_an_unknown_user_without_a_home_needs_a_data_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(ConfigError, match="no home folder: set ANYSCALE_DATA_DIR"):
        read()
    assert read(ANYSCALE_DATA_DIR="/srv").database == Path("/srv/anyscale.db")


@pytest.mark.parametrize(
    "environment",
    [{"ANYSCALE_DATA_DIR": "~/data"}, {"ANYSCALE_DATABASE_URL": "sqlite:///~/roll.db"}],
)
def test_a_folder_named_tilde_is_never_meant(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="nothing replaces the ~"):
        read(**environment)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_postgresql_needs_a_server_and_the_error_shows_no_password(scheme: str) -> None:
    with pytest.raises(ConfigError, match="PostgreSQL needs a server") as caught:
        read(ANYSCALE_DATABASE_URL=f"{scheme}://jane:hunter2@db/roll")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["off", "OFF", " off ", "0", "false", "no"])
def test_a_switch_can_be_off(text: str) -> None:
    assert not read(ANYSCALE_BATCH_CREATE=text).batch_create


@pytest.mark.parametrize("text", ["on", "On", "1", "true", "yes", "", " "])
def test_a_switch_can_be_on(text: str) -> None:
    assert read(ANYSCALE_BATCH_CREATE=text).batch_create


@pytest.mark.parametrize("text", ["of", "2", "disabled", "öff"])
def test_another_value_of_a_switch_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ANYSCALE_BATCH_CREATE must be on or off"):
        read(ANYSCALE_BATCH_CREATE=text)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ANYSCALE_PASSWORD_MIN_LENGTH", 8, 1024),
        ("ANYSCALE_RESERVATION_WAIT_SECONDS", 0, 3600),
        ("ANYSCALE_BATCH_EXPIRY_DAYS", 1, 365),
        ("ANYSCALE_LINK_DAYS", 1, 30),
    ],
)
def test_a_number_outside_of_its_limits_is_refused(name: str, least: int, most: int) -> None:
    for fine in (least, most):
        read(**{name: str(fine)})
    wrong = [str(least - 1), str(most + 1), "x", "8.0", "1e1", "-8", "٨", "9" * 5_000]
    for text in [*wrong, f"00000000{least or 1}{most}"]:
        with pytest.raises(ConfigError, match=f"{name} must be a whole number from {least}"):
            read(**{name: text})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://accounts.example.com", "https://accounts.example.com"),
        (" https://accounts.example.com:8443/ ", "https://accounts.example.com:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_the_operator_sets_the_public_url(text: str, address: str) -> None:
    assert read(ANYSCALE_PUBLIC_URL=text).address() == address


@pytest.mark.parametrize(
    "text",
    [
        "accounts.example.com",
        "http://accounts.example.com",
        "http://10.0.0.1:8000",
        "ftp://accounts.example.com",
        "https://",
        "https://accounts.example.com/people",
        "https://accounts.example.com?x=1",
        "https://accounts.example.com#x",
        "https://accounts.example.com:port",
        "https://[::1",
        "https://accounts example.com",
        "https://bücher.example",
        "https://a\nb.example.com",
    ],
)
def test_a_public_url_that_no_link_can_start_with_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ANYSCALE_PUBLIC_URL must be like https://"):
        read(ANYSCALE_PUBLIC_URL=text)


def test_a_public_url_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="no name and no password") as caught:
        read(ANYSCALE_PUBLIC_URL="https://jane:hunter2@accounts.example.com")
    assert "hunter2" not in str(caught.value)


def test_a_missing_public_url_is_an_error_that_names_the_variable() -> None:
    assert read().public_url is None
    with pytest.raises(ConfigError, match="ANYSCALE_PUBLIC_URL is not set"):
        read().address()


def test_links_are_valid_for_a_week_by_default() -> None:
    assert read().link_days == 7
    assert read(ANYSCALE_LINK_DAYS="30").link_days == 30


ISSUER = "https://idp.example.com/realms/staff"
SSO = {
    "ANYSCALE_PUBLIC_URL": "https://accounts.example.com",
    "ANYSCALE_SSO_ISSUER": ISSUER,
    "ANYSCALE_SSO_CLIENT_ID": "musterroll",
}


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("a secret\n", encoding="ascii")
    path.chmod(0o600)
    return path


def test_an_identity_provider_enables_sso() -> None:
    assert not read().has_provider
    assert not read(ANYSCALE_SSO_ISSUER=" ", ANYSCALE_SSO_DOMAINS="").has_provider
    found = read(**SSO)
    assert found.has_provider
    assert found.provider == ProviderSettings(issuer=ISSUER, client_id="musterroll")


@pytest.mark.parametrize("issuer", ["https://x.example/", "http://127.0.0.1:9", "http://[::1]/a"])
def test_an_issuer_is_not_normalized(issuer: str) -> None:
    provider = read(**(SSO | {"ANYSCALE_SSO_ISSUER": issuer})).provider
    assert provider
    assert provider.issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "idp.example.com",
        "http://idp.example.com",
        "ftp://idp.example.com",
        "https://",
        "https://jane:hunter2@idp.example.com",
        "https://idp.example.com?tenant=1",
        "https://idp.example.com#x",
        "https://idp.example.com:port",
        "https://idp.example.com/a b",
        "https://bücher.example",
        "https://[",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_an_issuer_needs_https_except_on_loopback(issuer: str) -> None:
    with pytest.raises(ConfigError, match="ANYSCALE_SSO_ISSUER must be https://") as caught:
        read(**(SSO | {"ANYSCALE_SSO_ISSUER": issuer}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", SSO)
def test_an_incomplete_sso_setup_is_refused(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"{missing} is missing"):
        read(**{name: text for name, text in SSO.items() if name != missing})


@pytest.mark.parametrize("text", ["a\nb", "é", "a\0"])
def test_a_client_id_has_visible_characters_only(text: str) -> None:
    with pytest.raises(ConfigError, match="ANYSCALE_SSO_CLIENT_ID must contain visible ASCII"):
        read(**(SSO | {"ANYSCALE_SSO_CLIENT_ID": text}))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_the_client_secret_is_read_from_a_file(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    found = read(**SSO, ANYSCALE_SSO_CLIENT_SECRET_FILE=str(secret_file))
    assert found.provider
    assert found.provider.client_secret == "a secret"
    assert "a secret" not in f"{found!r} {found.provider!r}"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o606, 0o660, 0o601])
def test_a_secret_file_that_others_can_read_is_refused(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    with pytest.raises(ConfigError, match=r"others can read .*: run `chmod 600"):
        read(**SSO, ANYSCALE_SSO_CLIENT_SECRET_FILE=str(secret_file))


@pytest.mark.parametrize("content", [b"", b" \n", b"a\nb", b"\xff", "é".encode(), b"x" * 5_000])
def test_a_file_without_a_secret_is_refused_and_not_shown(
    secret_file: Path, content: bytes
) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(ConfigError, match="must contain the client's secret") as caught:
        read(**SSO, ANYSCALE_SSO_CLIENT_SECRET_FILE=str(secret_file))
    assert "xxx" not in str(caught.value)


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match=f"CLIENT_SECRET_FILE: cannot read {path}"):
            read(**SSO, ANYSCALE_SSO_CLIENT_SECRET_FILE=str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amr:mfa, hwk", ProviderFactor("amr", frozenset({"mfa", "hwk"}))),
        ("acr:urn:a:gold", ProviderFactor("acr", frozenset({"urn:a:gold"}))),
        (" ", None),
    ],
)
def test_a_claim_says_what_counts_as_a_second_factor(
    text: str, expected: ProviderFactor | None
) -> None:
    found = read(**SSO, ANYSCALE_SSO_SECOND_FACTOR=text).provider
    assert found
    assert found.factor == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "a claim and its values") for text in ("mfa", "amr", "amr:", "amr:a,,b", "x:a")),
        ("amr:é", "a claim and its values"),
        ("amr:mfa,pwd", "must not have amr:pwd"),
    ],
)
def test_another_claim_or_a_single_factor_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"ANYSCALE_SSO_SECOND_FACTOR must .*{message}|{message}"):
        read(**SSO, ANYSCALE_SSO_SECOND_FACTOR=text)


@pytest.mark.parametrize("claims", [{}, {"amr": "pwd"}, {"amr": [1, None]}, {"acr": "mfa"}])
def test_what_the_provider_does_not_say_does_not_count(claims: dict[str, object]) -> None:
    assert not ProviderFactor("amr", frozenset({"mfa"})).is_shown(claims)


@pytest.mark.parametrize("text", ["optional", "OWNERS", "everyone", "off"])
def test_who_needs_a_second_factor_is_read(text: str) -> None:
    found = read(ANYSCALE_SECOND_FACTOR=text, ANYSCALE_SECOND_FACTOR_DAYS="0").second_factor
    assert (found.mode, found.grace_days) == (text.lower(), 0)


@pytest.mark.parametrize("text", ["on", "owner", "all"])
def test_another_text_does_not_say_who_needs_one(text: str) -> None:
    with pytest.raises(ConfigError, match="must be off, optional, owners or everyone"):
        read(ANYSCALE_SECOND_FACTOR=text)


def test_domains_are_compared_by_their_a_labels() -> None:
    found = read(**SSO, ANYSCALE_SSO_DOMAINS="Example.com, bücher.example,, corp.local ,")
    assert found.provider
    assert found.provider.domains == {"example.com", "xn--bcher-kva.example", "corp.local"}


@pytest.mark.parametrize("text", ["example", "jane@example.com", "*.example.com", "a b.com", "a;b"])
def test_a_text_that_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ANYSCALE_SSO_DOMAINS must be domains"):
        read(**SSO, ANYSCALE_SSO_DOMAINS=f"example.com,{text}")


def test_all_variables_that_are_wrong_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        read(
            ANYSCALE_DATABASE_URL="mysql://x/y",
            ANYSCALE_LINK_DAYS="0",
            ANYSCALE_SSO_ISSUER="idp.example.com",
            ANYSCALE_SSO_DOMAINS="not a domain",
            ANYSCALE_PUBLIC_URL="accounts",
        )

    names = [message.split()[0] for message in caught.value.args]
    assert sorted(name.removesuffix(":") for name in names) == [
        "ANYSCALE_DATABASE_URL",
        "ANYSCALE_LINK_DAYS",
        "ANYSCALE_PUBLIC_URL",
        "ANYSCALE_SSO_CLIENT_ID",
        "ANYSCALE_SSO_DOMAINS",
        "ANYSCALE_SSO_ISSUER",
    ]
    assert str(caught.value) == "; ".join(caught.value.args)


def test_the_name_of_the_organization_is_one_line_of_visible_text() -> None:
    assert read().login_options.organization == ""
    found = read(ANYSCALE_ORGANIZATION=" Müller & Töchter GmbH ")
    assert found.login_options.organization == "Müller & Töchter GmbH"
    assert read(ANYSCALE_ORGANIZATION="x" * 256).organization == "x" * 256
    for wrong in ("x" * 257, "a\nb", "a\u202eb", "a\udc80b"):
        with pytest.raises(ConfigError, match="ANYSCALE_ORGANIZATION must have at most 256"):
            read(ANYSCALE_ORGANIZATION=wrong)


LOGO = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 3"><rect width="9" height="3"/></svg>'
)
#: as Illustrator writes them
_DOCTYPE = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD" [ <!ENTITY ns "http://www.w3.org/2000/svg"> ]>'


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (LOGO, "image/svg+xml"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b -->\n" + LOGO, "image/svg+xml"),
        (_DOCTYPE + b'<svg xmlns="&ns;"/>', "image/svg+xml"),
        (b"\x89PNG\r\n\x1a\n" + bytes(256 * 1024 - 8), "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_a_logo_is_a_picture_in_a_file(tmp_path: Path, content: bytes, media_type: str) -> None:
    (tmp_path / "logo").write_bytes(content)
    found = of_server(ANYSCALE_LOGO=f" {tmp_path / 'logo'} ").login_options.logo
    assert found
    assert (found.content, found.media_type) == (content, media_type)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"", "{path} is not a picture: save it as SVG, PNG or WebP"),
        (b"\x89PNG\r\n\x1a\n" + bytes(256 * 1024 - 7), "{path} has more than 256 KiB"),
        (b"<!DOCTYPE html><html>" + LOGO, "{path} is not a picture"),
        (b"<svg><rect/></svg>", "{path} is not a picture"),
        (b"<!>" * 80_000, "{path} is not a picture"),
        (b"\xff\xd8\xff\xe0", "{path} is not a picture"),
        (b"RIFF\0\0\0\0AVI ", "{path} is not a picture"),
    ],
)
def test_a_wrong_logo_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "logo"
    if content is not None:
        path.write_bytes(content)
    expected = re.escape(f"ANYSCALE_LOGO: {message.format(path=path)}")
    with pytest.raises(ConfigError, match=f"^{expected}"):
        of_server(ANYSCALE_LOGO=str(path))
    assert read(ANYSCALE_LOGO=str(path)).logo is None, "an embedded control plane has no pages"


def test_a_logo_is_a_regular_file_and_no_start_waits_for_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "logo")
    for path in (tmp_path / "logo", tmp_path):
        expected = re.escape(f"ANYSCALE_LOGO: {path} is not a regular file")
        with pytest.raises(ConfigError, match=f"^{expected}"):
            of_server(ANYSCALE_LOGO=str(path))


# Mail

RELAY = {
    "ANYSCALE_SMTP_HOST": "mail.example.com",
    "ANYSCALE_MAIL_FROM": "accounts@example.com",
    "ANYSCALE_PUBLIC_URL": "https://accounts.example.com",
}


def of_server(**environment: str) -> Settings:
    return Settings.from_environment(environment, served=True)


def test_a_relay_needs_a_host_a_sender_and_a_public_address() -> None:
    mail = of_server(**RELAY).mail
    assert mail == MailSettings(host="mail.example.com", sender="accounts@example.com")
    assert (mail.port, mail.tls, mail.per_minute) == (587, "starttls", 60)
    for name in ("ANYSCALE_MAIL_FROM", "ANYSCALE_PUBLIC_URL"):
        with pytest.raises(ConfigError, match=f"^{name} is missing: mail by ANYSCALE_SMTP_HOST"):
            of_server(**RELAY | {name: ""})


def test_an_embedded_control_plane_has_no_relay() -> None:
    wrong = {"ANYSCALE_SMTP_HOST": "mail.example.com:25"}
    assert Settings.from_environment(RELAY | wrong, served=False).mail is None


def test_settings_of_mail_without_a_relay_are_refused() -> None:
    with pytest.raises(ConfigError, match="SMTP_HOST is missing, and ANYSCALE_MAIL_FROM"):
        of_server(ANYSCALE_MAIL_FROM="accounts@example.com")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANYSCALE_SMTP_HOST", "mail.example.com:25", "must be a host"),
        ("ANYSCALE_SMTP_HOST", "smtp://mail.example.com", "must be a host"),
        ("ANYSCALE_SMTP_TLS", "ssl", "must be starttls, tls or none"),
        ("ANYSCALE_SMTP_TLS", "none", "may be none only if ANYSCALE_SMTP_HOST is this machine"),
        ("ANYSCALE_MAIL_FROM", "accounts", "must be an email"),
        ("ANYSCALE_MAIL_FROM", "a@example.com\nBcc: b@example.com", "must be an email"),
        ("ANYSCALE_MAIL_PER_MINUTE", "0", "must be a whole number from 1 to 60000"),
        ("ANYSCALE_SMTP_USER", "musterroll", "ANYSCALE_SMTP_PASSWORD_FILE is missing"),
    ],
)
def test_a_wrong_setting_of_mail_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of_server(**RELAY | {name: value})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_relay_of_this_machine_needs_no_tls(host: str) -> None:
    mail = of_server(**RELAY | {"ANYSCALE_SMTP_HOST": host, "ANYSCALE_SMTP_TLS": "none"}).mail
    assert mail
    assert mail.tls == "none"


def test_the_password_of_a_relay_is_in_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("a secret\n")
    login = {"ANYSCALE_SMTP_USER": "us", "ANYSCALE_SMTP_PASSWORD_FILE": str(file)}
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        of_server(**RELAY | login)
    file.chmod(0o600)
    settings = of_server(**RELAY | login)
    assert settings.mail
    assert (settings.mail.user, settings.mail.password) == ("us", "a secret")
    assert "a secret" not in repr(settings) + repr(settings.mail)
