"""All checks by their ids, in the order in which they run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from anyscale.domain.phrases import with_command
from anyscale.errors import AnyscaleError
from anyscale.server.check import (
    database,
    files,
    hashing,
    identity_provider,
    mail,
    passkeys,
    program,
    proxy,
    public_url,
    second_factor,
    settings,
    signing_keys,
)
from anyscale.server.check.findings import Finding, NotTried, Status
from anyscale.server.check.installation import Installation
from anyscale.server.check.network import NoResponse

#: id -> the subject, for a check that cannot run, and the function. Scripts rely on the ids.
CHECKS: Mapping[str, tuple[str, Callable[[Installation], Finding]]] = {
    "program.files": ("the installed files", program.check_files),
    "settings.values": ("the environment", settings.check_values),
    "settings.names": ("the environment", settings.check_names),
    "settings.file_is_read": ("the environment file", settings.check_environment_file_is_read),
    "settings.public_url": ("ANYSCALE_PUBLIC_URL", settings.check_public_url),
    "files.environment": ("the environment file", files.check_environment_file),
    "files.data_dir": ("the data directory", files.check_data_dir),
    "files.database": ("the database file", files.check_database_file),
    "files.sso_secret": ("the file of the client secret", files.check_sso_secret),
    "files.smtp_password": ("the file of the password of the relay", files.check_smtp_password),
    "database.reachable": ("the database", database.check_reachable),
    "database.version": ("the database", database.check_version),
    "database.schema": ("the schema of the database", database.check_schema),
    "database.tokens": ("the tokens", database.check_tokens),
    "database.imported_hashes": ("the accounts", database.check_imported_hashes),
    "database.journal": ("the journal of SQLite", database.check_journal),
    "database.free_space": ("the disk of the database", database.check_free_space),
    "database.connections": ("PostgreSQL", database.check_connections),
    "database.encrypted": ("PostgreSQL", database.check_encryption),
    "database.clock": ("the clock of PostgreSQL", database.check_clock),
    "public_url.reachable": ("the public URL", public_url.check_reachable),
    "public_url.certificate": ("the certificate", public_url.check_certificate),
    "public_url.server": ("the public URL", public_url.check_server),
    "public_url.clock": ("the clock of the public URL", public_url.check_clock),
    "public_url.passkeys": ("passkeys", passkeys.check_passkeys),
    "proxy.host": ("the header Host", proxy.check_host),
    "proxy.client_address": ("the header X-Forwarded-For", proxy.check_client_address),
    "proxy.scheme": ("the header X-Forwarded-Proto", proxy.check_scheme),
    "proxy.trusted": ("FORWARDED_ALLOW_IPS", proxy.check_trusted_proxy),
    "proxy.headers": ("other headers", proxy.check_headers),
    "proxy.header_limit": ("a long header", proxy.check_header_limit),
    "proxy.body_limit": ("a body of 64 MiB", proxy.check_body_limit),
    "proxy.metrics": ("/metrics", proxy.check_metrics),
    "openid.keys": ("the signing keys", signing_keys.check_signing_keys),
    "openid.registered_keys": ("the signing keys", signing_keys.check_registered_keys),
    "second_factor.keys": ("the second factor keys", second_factor.check_keys),
    "second_factor.applications": ("the applications", second_factor.check_applications),
    "second_factor.owners": ("the owners", second_factor.check_owners),
    "openid.issuer": ("the OpenID provider", public_url.check_issuer),
    "provider.metadata": ("the identity provider", identity_provider.check_metadata),
    "provider.issuer": ("ANYSCALE_SSO_ISSUER", identity_provider.check_issuer),
    "provider.endpoints": ("the endpoints", identity_provider.check_endpoints),
    "provider.keys": ("the keys", identity_provider.check_keys),
    "provider.algorithms": ("the algorithms", identity_provider.check_algorithms),
    "provider.scopes": ("the scopes", identity_provider.check_scopes),
    "provider.claims": ("the claims", identity_provider.check_claims),
    "provider.second_factor": (
        "ANYSCALE_SSO_SECOND_FACTOR",
        identity_provider.check_second_factor,
    ),
    "provider.client": ("the client id and secret", identity_provider.check_client),
    "provider.redirect_uri": ("the redirect URI", identity_provider.check_redirect_uri),
    "provider.clock": ("the clock of the provider", identity_provider.check_clock),
    "mail.relay": ("the relay", mail.check_relay),
    "mail.sender": ("ANYSCALE_MAIL_FROM", mail.check_sender),
    "mail.delivery": ("a mail", mail.check_delivery),
    "hashing.new": ("PyNaCl", hashing.check_new_hashes),
    "hashing.imported": ("argon2-cffi", hashing.check_imported_hashes),
}


class CheckResult(Struct, frozen=True):
    """A check, and what it found. The fields are those of `Finding`."""

    check: str
    status: Status
    looked_at: str
    found: str
    fix: str


def run_checks(
    environment: Mapping[str, str], environment_file: Path, *, only: str = "", mail_to: str = ""
) -> Iterator[CheckResult]:
    """Run the checks whose ids begin with `only`; yield each result as soon as it is known.

    `mail_to` is an address that gets a mail.
    """
    installation = Installation(environment, environment_file, mail_to)
    for check, (subject, look) in CHECKS.items():
        if not check.startswith(only):
            continue
        try:
            finding = look(installation)
        except (NotTried, NoResponse, AnyscaleError, TimeoutError) as error:
            finding = Finding("not tried", subject, str(error))
        found = with_command(finding.found, environment)
        fix = with_command(finding.fix, environment)
        yield CheckResult(check, finding.status, finding.looked_at, found, fix)
