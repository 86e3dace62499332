"""The relay: whether it accepts mails of this server."""

import secrets
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

from anyscale.server.check.findings import Finding, NotTried, fail, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.check.network import within_time
from anyscale.server.core.mail.messages import Composer, Letter
from anyscale.server.core.mail.relay import MailRefused, MailRetry, Relay
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.time_units import SECOND_MS

_SENDER = "ANYSCALE_MAIL_FROM"

#: the template of the mail of a check
_TEMPLATE = "server_check"


def check_relay(installation: Installation) -> Finding:
    """Offer the relay a mail to the sender itself, up to its text: none is sent."""
    settings = _settings(installation)
    return _tried(
        installation,
        lambda relay: relay.probe(settings.sender),
        f"it accepts mails from {settings.sender}, by {_encryption(settings)}; none was sent",
    )


def check_sender(installation: Installation) -> Finding:
    """Compare the domain of the sender with that of the public URL, whose users know it."""
    sender = _settings(installation).sender
    domain, host = sender.rpartition("@")[2], urlsplit(installation.public_url).hostname or ""
    if f".{host}".endswith(f".{domain}") or f".{domain}".endswith(f".{host}"):
        return ok(_SENDER, f"{sender} has a domain of {host}")
    found = f"{sender} has another domain than {host}: users and filters may not trust its mails"
    return warn(_SENDER, found, "let it be an address of your organization, with SPF and DKIM")


def check_delivery(installation: Installation) -> Finding:
    """Send a mail to the address of the option `--mail`."""
    settings, address = _settings(installation), installation.mail_to
    if not address:
        raise NotTried("`anyscale server check --mail ADDRESS` sends a mail")
    composer = Composer(
        settings.sender, installation.settings.organization, installation.public_url, ""
    )
    now = round(time.time() * SECOND_MS)
    letter = Letter(
        mail_id=secrets.token_hex(8), attempt=1, kind=_TEMPLATE, address=address, at=now
    )
    try:
        message = composer.compose(letter)
    except ValueError:
        return fail("--mail", "it is not an email", "name an address that you read")
    found = f"the relay has accepted a mail to {address}: read it there"
    return _tried(installation, lambda relay: relay.send(message, address), found)


def _tried(installation: Installation, step: Callable[[Relay], None], found: str) -> Finding:
    settings = _settings(installation)
    looked_at = f"{settings.host}:{settings.port}"

    def run() -> None:
        with closing(Relay(settings, urlsplit(installation.public_url).hostname or "")) as relay:
            step(relay)

    try:
        within_time(run)
    except MailRefused as error:
        return fail(
            looked_at, f"the relay refuses it: {error}", f"let it accept mails from {_SENDER}"
        )
    except MailRetry as error:
        fix = f"correct ANYSCALE_SMTP_HOST and its like, {_SENDER}, or the relay"
        return fail(looked_at, str(error).removeprefix(f"{looked_at}: "), fix)
    except TimeoutError as error:
        return fail(looked_at, str(error), "let the relay respond sooner")
    return ok(looked_at, found)


def _encryption(settings: MailSettings) -> str:
    kinds = {"starttls": "STARTTLS", "tls": "TLS", "none": "a connection of this machine"}
    return kinds[settings.tls]


def _settings(installation: Installation) -> MailSettings:
    if installation.settings.mail is None:
        raise NotTried("ANYSCALE_SMTP_HOST is not set")
    return installation.settings.mail
