"""The messages: plain text from `templates/`, whose first line is the subject.

No header has a secret, or a text that a user or an administrator has entered, but for addresses.
"""

from email import policy
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from quopri import encodestring
from string import Template
from typing import Any, Final
from urllib.parse import urlsplit

from anyscale.domain.emails import email_key
from anyscale.domain.times import from_milliseconds
from anyscale.server.core.secrets import SensitiveStruct

__all__ = ["Composer", "Letter", "mail_address"]

_TEMPLATES = Path(__file__).parent / "templates"


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


class _HeaderClasses(HeaderRegistry):
    """The classes of headers, each created once.

    The registry itself creates two for each header, which takes more than half of a message's time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._class_of = cache(super().__getitem__)

    def __getitem__(self, name: str) -> Any:
        return self._class_of(name)


_POLICY: Final = policy.SMTP.clone(header_factory=_HeaderClasses())


def _header(name: str, value: Any) -> Any:
    """Parse a header that many messages have: a message takes it as it is."""
    return _POLICY.header_factory(name, value)


#: those of all messages
_HEADERS: Final = [
    # RFC 3834, section 5: no vacation notice answers it.
    _header("Auto-Submitted", "auto-generated"),
    # Not by `set_content`, which parses them, and takes as long as all the rest of a message.
    _header("MIME-Version", "1.0"),
    _header("Content-Type", 'text/plain; charset="utf-8"'),
    _header("Content-Transfer-Encoding", "quoted-printable"),
]


class Composer:
    """Makes messages.

    Args:
        sender: the address that they are from.
        organization: whose name stands beside it; empty for none.
        public_url: of the control plane. It is the only source of links: never a request.
        link_page: the URL of the page that takes links.
    """

    def __init__(self, sender: str, organization: str, public_url: str, link_page: str) -> None:
        self._from: Final = _header("From", _address(sender, organization))
        self._host: Final = urlsplit(public_url).hostname or ""
        self._place: Final = f"{organization} ({self._host})" if organization else self._host
        self._link_page = link_page

    def compose(self, letter: Letter) -> EmailMessage:
        """Return the message of a letter."""
        subject, text = _template(letter.kind)
        message = EmailMessage(policy=_POLICY)
        message["From"] = self._from
        message["To"] = _address(letter.address)
        message["Subject"] = subject
        message["Date"] = from_milliseconds(letter.at)
        message["Message-ID"] = f"<{letter.mail_id}.{letter.attempt}@{self._host}>"
        for header in _HEADERS:
            message[header.name] = header
        content = text.substitute(self._values(letter)).encode()
        message.set_payload(encodestring(content).decode())
        return message

    def _values(self, letter: Letter) -> dict[str, str]:
        return {
            "address": letter.address,
            "code": letter.code,
            "link": f"{self._link_page}#{letter.code}",
            "place": self._place,
            "until": f"{from_milliseconds(letter.expires_at):%Y-%m-%d %H:%M} UTC",
        }


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


@cache
def _template(kind: str) -> tuple[Any, Template]:
    """Return the header of the subject, and the text."""
    subject, _, text = (_TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8").partition("\n\n")
    return _header("Subject", subject), Template(text)
