"""The connection to the relay, and what its replies mean.

A reply of 5xx to a mail is its end. All else that goes wrong is tried again: a reply of 4xx, a lost
connection, and what is wrong with the connection itself, such as a wrong password or certificate,
which an operator can mend.
"""

import smtplib
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from email.message import EmailMessage
from functools import partial
from typing import Final

from anyscale.server.core.link_secrets import without_secrets
from anyscale.server.core.mail.messages import mail_address
from anyscale.server.core.mail.settings import MailSettings

__all__ = ["MailRefused", "MailRetry", "Relay"]

#: Seconds that one read or write may take. A relay may examine a mail before it accepts it, and a
#: mail whose reply was not awaited is sent again.
_TIMEOUT = 180.0

#: seconds to connect, and to be greeted
_CONNECT_TIMEOUT = 60.0

#: seconds to take leave
_QUIT_TIMEOUT = 2.0

#: characters of a relay's words that are kept
_MOST_WORDS = 300

_OK = 250

#: Replies of 5xx that are about the connection and not about the mail: commands out of order, as
#: after an error that the relay has not forgotten, and authentication (RFC 4954, section 6).
_OF_CONNECTION = (503, 530, 534, 535, 538)

_NEEDS_UTF8 = (
    "the relay does not support SMTPUTF8, which an address with other letters than ASCII needs"
)


class MailRefused(Exception):
    """The relay refuses a mail for good. The message says why, with its code and its words."""


class MailRetry(Exception):
    """A mail is not known to be accepted, and is to be tried again. The message says why."""

    def __init__(self, reason: str, *, is_of_connection: bool = False) -> None:
        super().__init__(reason)
        #: Whether the reason has nothing of the mail.
        self.is_of_connection: bool = is_of_connection


class Relay:
    """A connection to the relay. It is opened on use, and stays open between two mails.

    Args:
        settings: of the relay.
        host: how this server calls itself.
    """

    def __init__(self, settings: MailSettings, host: str) -> None:
        self._settings: Final = settings
        self._host: Final = host
        self._smtp: smtplib.SMTP | None = None

    def probe(self, address: str) -> None:
        """Let the relay take a mail to an address, up to its text, and send none.

        Raises:
            MailRefused, MailRetry: as `send`.
        """
        smtp = self._reused() or self._opened()
        sender, recipient = mail_address(self._settings.sender), mail_address(address)
        try:
            smtp.ehlo_or_helo_if_needed()
            for step in (partial(smtp.mail, sender), partial(smtp.rcpt, recipient)):
                code, words = step()
                if code // 100 != 2:  # noqa: PLR2004 - the codes of SMTP
                    raise self._judged(smtp, code, words)
        except (OSError, smtplib.SMTPException) as error:
            smtp.close()
            raise self._lost(error) from None

    def send(self, message: EmailMessage, address: str) -> None:
        """Send a message to one address.

        Raises:
            MailRefused: the relay refuses it for good.
            MailRetry: it is not known to be accepted.
        """
        smtp = self._reused() or self._opened()
        try:
            # The address is passed by itself: the text of a header may be read as several.
            smtp.send_message(message, mail_address(self._settings.sender), [mail_address(address)])
        except smtplib.SMTPNotSupportedError:
            raise MailRefused(_NEEDS_UTF8) from None
        except smtplib.SMTPRecipientsRefused as error:
            ((code, words),) = error.recipients.values()
            raise self._judged(smtp, code, words) from None
        except smtplib.SMTPResponseException as error:
            raise self._judged(smtp, error.smtp_code, error.smtp_error) from None
        except (OSError, smtplib.SMTPException) as error:
            smtp.close()
            raise self._lost(error) from None

    def close(self) -> None:
        """Take leave of the relay, if there is a connection."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None and smtp.sock is not None:
            with suppress(OSError, smtplib.SMTPException):
                smtp.sock.settimeout(_QUIT_TIMEOUT)
                smtp.quit()
            smtp.close()

    def abort(self) -> None:
        """Cut the connection, from another thread: a call that waits for the relay raises then."""
        smtp = self._smtp
        sock = smtp.sock if smtp is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _reused(self) -> smtplib.SMTP | None:
        """Return the connection of the mail before, if it still works.

        RSET shows that, and after an error it lets the relay forget the mail before.
        """
        smtp = self._smtp
        if smtp is not None and smtp.sock is not None:
            with suppress(OSError, smtplib.SMTPException):
                if smtp.rset()[0] == _OK:
                    return smtp
            smtp.close()
        return None

    def _opened(self) -> smtplib.SMTP:
        settings = self._settings
        try:
            self._smtp = smtp = self._connected()
            assert smtp.sock is not None
            smtp.sock.settimeout(_TIMEOUT)
            if settings.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if settings.user:
                smtp.login(settings.user, settings.password)
        except (OSError, smtplib.SMTPException) as error:
            if self._smtp is not None:
                self._smtp.close()
            raise self._lost(error) from None
        return smtp

    def _connected(self) -> smtplib.SMTP:
        # A context checks the certificate and its name, which `smtplib` does not do without one.
        to = self._settings.host, self._settings.port, self._host
        if self._settings.tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(*to, timeout=_CONNECT_TIMEOUT, context=context)
        return smtplib.SMTP(*to, timeout=_CONNECT_TIMEOUT)

    def _judged(self, smtp: smtplib.SMTP, code: int, words: bytes | str) -> Exception:
        """Return the error for a reply to a mail."""
        text = f"{code} {_one_line(words)}"
        # `smtplib` closes a connection whose replies are not those of SMTP.
        if smtp.sock is not None and 500 <= code < 600 and code not in _OF_CONNECTION:  # noqa: PLR2004 - the codes of SMTP
            return MailRefused(text)
        if code in _OF_CONNECTION:
            smtp.close()
        return MailRetry(text)

    def _lost(self, error: OSError | smtplib.SMTPException) -> MailRetry:
        """Return the error for a connection that could not be opened, or was lost."""
        where, reason = f"{self._settings.host}:{self._settings.port}", _reason(error)
        for secret in _written_passwords(self._settings):
            reason = reason.replace(secret, "...")  # a relay may quote what it refuses
        return MailRetry(f"{where}: {reason}", is_of_connection=True)


def _written_passwords(settings: MailSettings) -> list[str]:
    """Return the password of the relay as a text may have it: as it is, and as it is sent."""
    if not settings.password:
        return []
    sent = (settings.password, f"\0{settings.user}\0{settings.password}")
    return [settings.password, *(b64encode(text.encode()).decode() for text in sent)]


def _reason(error: OSError | smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):  # to a greeting, or to authentication
        return f"{error.smtp_code} {_one_line(error.smtp_error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the relay is not valid: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "the relay did not respond in time"
    # Those of `smtplib` are subclasses of `OSError` without a number.
    return _one_line(error.strerror or str(error))


def _one_line(words: bytes | str) -> str:
    """Return the words of a relay, shortened, without what could be a secret of ours."""
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    visible = "".join(char if char.isprintable() else " " for char in without_secrets(text))
    return " ".join(visible.split())[:_MOST_WORDS]
