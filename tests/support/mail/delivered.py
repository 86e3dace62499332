"""Mails as their recipients get them."""

from email import message_from_bytes, policy
from email.message import EmailMessage

from anyscale.server.core.link_secrets import secret_of


class Delivered:
    """A mail that has arrived.

    Args:
        recipient: the address that the relay was told.
        octets: the message as it arrived, which may be encoded.
    """

    def __init__(self, recipient: str, octets: bytes) -> None:
        self.recipient = recipient
        self.octets = octets
        message = message_from_bytes(octets, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.message = message

    @property
    def text(self) -> str:
        """The decoded body."""
        content: str = self.message.get_content()
        return content.replace("\r\n", "\n")

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def message_id(self) -> str:
        """Of the row of the outbox, and the attempt to send it."""
        return str(self.message["Message-ID"])

    @property
    def code(self) -> str:
        """The secret of its link; empty if it has none."""
        return secret_of(self.text)
