"""The connection to the relay, and what its replies mean.

A reply of 5xx to a recipient or a text is the end of a mail. All else that goes wrong is tried
again: a reply of 4xx, a lost connection, and what is wrong for all mails, such as a wrong password,
certificate or sender, which an operator can mend.

The errors of `smtplib` are all of `OSError`.
"""

import smtplib
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from io import BufferedReader
from typing import Any, Final

from anyscale.certificates import certificate_advice
from anyscale.server.core.link_secrets import without_secrets
from anyscale.server.core.mail.messages import domain_of, mail_address
from anyscale.server.core.mail.settings import MailSettings

#: Seconds that one read or write may take: `abort` limits their sum. A relay may examine a mail
#: before it accepts it, and a mail whose reply was not awaited is sent again.
_TIMEOUT = 180.0

#: Seconds to connect, which nothing can cut.
_TCP_TIMEOUT = 20.0

#: seconds to be greeted
_CONNECT_TIMEOUT = 60.0

#: seconds to send QUIT, and then to wait for the beginning of the reply
_QUIT_TIMEOUT = 2.0

#: Lines of a reply, each of which `smtplib` limits: one that does not end would fill the memory.
_MOST_LINES = 200

#: octets of a reply of one line (RFC 5321, section 4.5.3.1.5)
_LINE_OCTETS = 512

#: characters of a relay's words that are kept
_MOST_WORDS = 300

_OK, _GREETING = 250, 220

#: codes of replies (RFC 5321, section 4.2.1)
_ACCEPTED, _DEFERRED, _REFUSED = range(200, 300), range(400, 500), range(500, 600)

#: Replies of 5xx that are about the connection and not about the mail: commands out of order, as
#: after an error that the relay has not forgotten, and authentication (RFC 4954, section 6).
_OF_CONNECTION = (503, 530, 534, 535, 538)

_NEEDS_UTF8 = (
    "the relay does not support SMTPUTF8, which an address with other letters than ASCII needs"
)

_UNUSABLE = "a host name, the user, the password or the relay's challenge cannot be used in SMTP"


class MailRefused(Exception):
    """The relay refuses a mail for good. The message says why, with its code and its words."""


class MailRetry(Exception):
    """A mail is not known to be accepted, and is to be tried again. The message says why."""

    def __init__(
        self, reason: str, *, is_of_connection: bool = False, may_have_arrived: bool = False
    ) -> None:
        super().__init__(reason)
        #: Whether the reason has nothing of the mail.
        self.is_of_connection: bool = is_of_connection
        #: Whether its text was sent, and no reply came.
        self.may_have_arrived: bool = may_have_arrived


class _Replies(BufferedReader):
    """What a relay says, line by line."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.makefile("rb", buffering=0))
        #: lines that the reply may still have
        self.left: int = _MOST_LINES

    def readline(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError(f"its reply has more than {_MOST_LINES} lines")
        return super().readline(size)


class _Connection(smtplib.SMTP):
    """A connection that another thread can cut at any time after its creation.

    Args:
        settings: of the relay.
        host: how this server calls itself.
    """

    def __init__(self, settings: MailSettings, host: str) -> None:
        super().__init__(local_hostname=host, timeout=_CONNECT_TIMEOUT)
        self._settings: Final = settings
        # `starttls` compares the certificate with it. Only a constructor that connects sets it.
        self._host = settings.host
        #: A duplicate of the socket below TLS. A TLS handshake takes the socket itself away, and
        #: `shutdown` of a TLS socket lets another thread write plain text.
        self._wire: socket.socket | None = None
        #: whether the text of a mail was begun
        self.has_sent_text = False

    def open(self) -> None:
        """Connect, encrypt and authenticate.

        Raises:
            OSError: the relay is not there, or refuses it.
            ValueError: a name, a password or a challenge has letters that it cannot have.
        """
        settings = self._settings
        code, words = self.connect(settings.host, settings.port)
        if code != _GREETING:
            raise smtplib.SMTPConnectError(code, words)
        assert self.sock is not None
        self.sock.settimeout(_TIMEOUT)
        if settings.tls == "starttls":
            # The context checks the certificate and its name: `smtplib` does not without one.
            self.starttls(context=ssl.create_default_context())
        self.ehlo_or_helo_if_needed()
        if settings.user:
            self.login(settings.user, settings.password)

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.has_sent_text = True
        return super().data(msg)

    def leave(self) -> None:
        """Send QUIT, and close. The reply is not read to its end, which may never come."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.settimeout(_QUIT_TIMEOUT)
                self.putcmd("quit")
                self.sock.recv(_LINE_OCTETS)
        self.close()

    def abort(self) -> None:
        """Cut the connection, from another thread."""
        wire = self._wire
        if wire is not None:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            assert self.sock is not None
            self.file = _Replies(self.sock)
        self.file.left = _MOST_LINES
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), min(timeout, _TCP_TIMEOUT))
        sock.settimeout(timeout)
        self._wire = sock.dup()
        if self._settings.tls == "tls":
            return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        return sock


class Relay:
    """A connection to the relay. It is opened on use, and stays open between two mails.

    Args:
        settings: of the relay.
        host: the host of this server: a name or an IP address.
    """

    def __init__(self, settings: MailSettings, host: str) -> None:
        self._settings: Final = settings
        self._host: Final = domain_of(host)
        self._passwords: Final = _written_passwords(settings)
        self._smtp: _Connection | None = None

    def probe(self, address: str) -> None:
        """Let the relay take a mail to an address, up to its text, and send none.

        Raises:
            MailRefused, MailRetry: as `send`.
        """
        smtp = self._reused() or self._opened()
        sender, recipient = mail_address(self._settings.sender), mail_address(address)
        try:
            code, words = smtp.mail(sender, () if sender.isascii() else ("SMTPUTF8",))
            if code != _OK:
                raise smtplib.SMTPSenderRefused(code, words, sender)
            code, words = smtp.rcpt(recipient)
        except (OSError, ValueError) as error:
            raise self._lost(smtp, error) from None
        if code not in _ACCEPTED:
            raise self._judged(smtp, code, words)

    def send(self, message: bytes, address: str) -> None:
        """Send a message to one address.

        Raises:
            MailRefused: the relay refuses it for good.
            MailRetry: it is not known to be accepted.
        """
        smtp = self._reused() or self._opened()
        sender, recipient = mail_address(self._settings.sender), mail_address(address)
        is_ascii = sender.isascii() and recipient.isascii()
        if not is_ascii and not smtp.has_extn("SMTPUTF8"):
            raise MailRefused(_NEEDS_UTF8)
        try:
            options = () if is_ascii else ("SMTPUTF8", "BODY=8BITMIME")
            smtp.has_sent_text = False
            smtp.sendmail(sender, [recipient], message, options)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, words),) = error.recipients.values()
            raise self._judged(smtp, code, words) from None
        except smtplib.SMTPDataError as error:
            raise self._judged(smtp, error.smtp_code, error.smtp_error) from None
        except OSError as error:
            raise self._lost(smtp, error) from None

    def close(self) -> None:
        """Close the connection to the relay, if there is one."""
        if self._smtp is not None:
            self._smtp.leave()

    def abort(self) -> None:
        """Cut the connection, from another thread: a call that waits for the relay raises then."""
        smtp = self._smtp
        if smtp is not None:
            smtp.abort()

    def _reused(self) -> _Connection | None:
        """Return the connection of the mail before, if it still works.

        RSET shows that, and after an error it lets the relay forget the mail before.
        """
        smtp = self._smtp
        if smtp is not None and smtp.sock is not None:
            with suppress(OSError):
                if smtp.rset()[0] == _OK:
                    return smtp
            smtp.close()
        return None

    def _opened(self) -> _Connection:
        # It is kept before it is opened, so that `abort` reaches it.
        self._smtp = smtp = _Connection(self._settings, self._host)
        try:
            smtp.open()
        except (OSError, ValueError) as error:
            raise self._lost(smtp, error) from None
        return smtp

    def _judged(self, smtp: _Connection, code: int, words: bytes | str) -> Exception:
        """Return the error for a reply to a mail."""
        text = f"{code} {self._shown(words)}"
        # `smtplib` closes a connection whose replies are not those of SMTP.
        if smtp.sock is not None and code in _REFUSED and code not in _OF_CONNECTION:
            return MailRefused(text)
        if code in _OF_CONNECTION:
            smtp.close()
        # Other codes are none of SMTP.
        is_reply = code in _REFUSED or code in _DEFERRED
        return MailRetry(text, may_have_arrived=smtp.has_sent_text and not is_reply)

    def _lost(self, smtp: _Connection, error: OSError | ValueError) -> MailRetry:
        """Close a connection that could not be opened, or is of no use; return the error for it."""
        smtp.close()
        where = f"{self._settings.host}:{self._settings.port}"
        return MailRetry(
            f"{where}: {self._reason(error)}",
            is_of_connection=True,
            may_have_arrived=smtp.has_sent_text,
        )

    def _reason(self, error: OSError | ValueError) -> str:
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{error.smtp_code} {self._shown(error.smtp_error)}"
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"the certificate of the relay is not valid: {error.verify_message}"
            return f"{reason}; {certificate_advice(error)}"
        # While it reads a reply, `smtplib` makes another error of it.
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            return "the relay did not respond in time"
        if isinstance(error, ValueError):  # whose text may have a letter of the password
            return _UNUSABLE
        return self._shown(error.strerror or str(error))  # those of `smtplib` have no number

    def _shown(self, words: bytes | str) -> str:
        """Return the words of a relay in one line, shortened, without what is secret."""
        text = words.decode(errors="replace") if isinstance(words, bytes) else words
        # First: a part of a password, at the end of what is kept, would not be found.
        for password in self._passwords:
            text = text.replace(password, "...")
        visible = "".join(char if char.isprintable() else " " for char in without_secrets(text))
        return " ".join(visible.split())[:_MOST_WORDS]


def _written_passwords(settings: MailSettings) -> list[str]:
    """Return the password of the relay as a text may have it: as it is, and as it is sent."""
    if not settings.password:
        return []
    # The longer one first: it may have the other one in it.
    sent = (f"\0{settings.user}\0{settings.password}", settings.password)
    return [*(b64encode(text.encode()).decode() for text in sent), settings.password]
