"""The messages: plain text from `templates/`, whose first line is the subject.

No header has a secret, or a text that a user or an administrator has entered, but for addresses.
"""

from collections.abc import Mapping
from email import policy
from email.headerregistry import Address
from email.utils import format_datetime
from functools import cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from quopri import encodestring
from string import Template
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from anyscale.domain.emails import email_key
from anyscale.domain.times import from_milliseconds
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.time_units import HOUR_MS
from anyscale.server.store.records.factors import FactorKind

_TEMPLATES = Path(__file__).parent / "templates"

_HOURS_OF_DAY = 24

_FACTORS: Final[Mapping[FactorKind, str]] = {
    "totp": "an app that shows codes",
    "passkey": "a passkey",
}


class FactorInMail(Struct, frozen=True):
    """A second factor of the account."""

    kind: FactorKind
    #: milliseconds since 1970
    added_at: int


class Letter(SensitiveStruct, frozen=True, kw_only=True):
    """What a message says, to whom and when."""

    #: of the outbox, and which attempt to send it this is: together they are unique
    mail_id: str
    attempt: int
    #: the name of its template
    kind: str
    address: str
    #: milliseconds since 1970
    at: int
    #: the secret of its link; empty if it has none
    code: str = ""
    #: when the link expires, in milliseconds since 1970
    expires_at: int = 0
    #: those that the account has, if the mail is about them
    factors: tuple[FactorInMail, ...] = ()


#: Those of all messages. As the rest of a message they are text and not objects of `email`, which
#: would take a third of the time of a mail.
_HEADERS: Final = (
    "Auto-Submitted: auto-generated\r\n"  # RFC 3834, section 5: no vacation notice answers it
    "MIME-Version: 1.0\r\n"
    'Content-Type: text/plain; charset="utf-8"\r\n'
    "Content-Transfer-Encoding: quoted-printable\r\n"
)


class Composer:
    """Makes messages.

    Args:
        sender: the address that they are from.
        organization: whose name stands beside it; empty for none.
        public_url: of the control plane. It is the only source of links: never a request.
        link_page: the URL of the page that takes links.
    """

    def __init__(self, sender: str, organization: str, public_url: str, link_page: str) -> None:
        # The name is encoded, unless the address as the relay gets it needs SMTPUTF8.
        self._from: Final = _folded(
            "From", _address(sender, organization), utf8=not mail_address(sender).isascii()
        )
        host = urlsplit(public_url).hostname or ""
        self._domain: Final = domain_of(host)
        self._place: Final = f"{organization} ({host})" if organization else host
        self._link_page = link_page

    def compose(self, letter: Letter) -> bytes:
        """Return the message of a letter, in ASCII but for the local parts of addresses.

        Raises:
            ValueError: the address cannot get mail.
        """
        subject, text = _template(letter.kind)
        headers = (
            f"{self._from}To: {_address(letter.address)}\r\n{subject}"
            f"Date: {format_datetime(from_milliseconds(letter.at))}\r\n"
            f"Message-ID: <{letter.mail_id}.{letter.attempt}@{self._domain}>\r\n{_HEADERS}\r\n"
        )
        return headers.encode() + encodestring(text.substitute(self._values(letter)).encode())

    def _values(self, letter: Letter) -> dict[str, str]:
        return {
            "address": letter.address,
            "code": letter.code,
            "link": f"{self._link_page}#{letter.code}",
            "place": self._place,
            "until": _until(letter.at, letter.expires_at),
            "factors": "\r\n".join(map(_factor_in_words, letter.factors)) or "    none",
        }


def domain_of(host: str) -> str:
    """Return a host as the domain of SMTP and of a message id: an IP address stands in brackets."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"


def _until(at: int, expires_at: int) -> str:
    """Return how long a link works that is sent at a time."""
    hours = (expires_at - at) // HOUR_MS
    if hours < _HOURS_OF_DAY:
        return "for one hour" if hours == 1 else f"for {hours} hours"
    # A day, since the zone of the reader is not known.
    day, today = from_milliseconds(expires_at), from_milliseconds(at)
    return f"until {day:%A}, {day.day} {day:{'%B' if day.year == today.year else '%B %Y'}}"


def _factor_in_words(factor: FactorInMail) -> str:
    at = from_milliseconds(factor.added_at)
    return f"    {_FACTORS[factor.kind]}, added on {at.day} {at:%B %Y, %H:%M} UTC"


def mail_address(email: str) -> str:
    """Return an email with the A-label of its domain, which each relay understands.

    Raises:
        ValueError: it is not an email.
    """
    local = email.rpartition("@")[0]
    return f"{local}@{email_key(email).rpartition('@')[2]}"


def _address(email: str, name: str = "") -> Address:
    if "=?" in email:  # `email` would decode it, as an encoded word (RFC 2047), into other headers
        raise ValueError("an address with an encoded word")
    # Not `addr_spec`, which refuses a local part with other letters than ASCII.
    local, _, domain = mail_address(email).rpartition("@")
    return Address(name, local, domain)


def _folded(name: str, value: str | Address, *, utf8: bool = False) -> str:
    """Return the lines of a header, in ASCII or in UTF-8."""
    form = policy.SMTPUTF8 if utf8 else policy.SMTP
    header: str = form.header_factory(name, value).fold(policy=form)
    return header


@cache
def _template(kind: str) -> tuple[str, Template]:
    """Return the header of the subject, and the text with the line ends of a message."""
    text = (_TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8").replace("\n", "\r\n")
    subject, _, body = text.partition("\r\n\r\n")
    return _folded("Subject", subject), Template(body)
