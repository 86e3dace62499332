"""A mail relay on this machine, which keeps what it accepts."""
# ruff: noqa: ARG002, N802 - aiosmtpd calls its hooks by their names and arguments

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.support.mail.delivered import Delivered
from tests.support.ports import free_port

from anyscale.server.core.mail.settings import MailSettings

SENDER = "accounts@example.com"

#: the name and the password that a relay takes, if it wants any
USER, RELAY_PASSWORD = "musterroll", "a relay's own secret"

#: What a relay answers to a recipient, or to the text of a mail; None to accept it. It runs in a
#: thread, so that it may wait for other mails.
Reply = Callable[[str], str | None]


class Received(Delivered):
    """A mail that a relay has accepted."""

    def __init__(self, envelope: Envelope) -> None:
        assert isinstance(envelope.content, bytes)
        self.recipients = list(envelope.rcpt_tos)
        super().__init__(self.recipients[0], envelope.content)
        self.sender = envelope.mail_from


class TestRelay:
    """A relay that keeps what it accepts. A test may set what it answers."""

    __test__ = False

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[Received] = []
        #: one for each connection
        self.connections = 0
        self.on_recipient: Reply = lambda _: None
        self.on_data: Reply = lambda _: None
        self._changed = threading.Condition()

    def settings(self, **fields: Any) -> MailSettings:
        """Return the settings of a server that uses this relay: many mails a minute."""
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "tls": "none",
            "per_minute": 60_000,
            "sender": SENDER,
        }
        return MailSettings(**(values | fields))

    def to(self, address: str) -> list[Received]:
        """Return what was sent to an address, in order."""
        return [mail for mail in self.received if mail.recipients == [address]]

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until it has accepted so many mails."""
        with self._changed:
            is_there = self._changed.wait_for(lambda: len(self.received) >= count, seconds)
        assert is_there, f"{len(self.received)} of {count} mails arrived"

    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        self.connections += not session.host_name
        session.host_name = hostname
        return responses

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if reply := await asyncio.to_thread(self.on_recipient, address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        mail = Received(envelope)
        if reply := await asyncio.to_thread(self.on_data, mail.text):
            return reply
        with self._changed:
            self.received.append(mail)
            self._changed.notify_all()
        return "250 OK"


@contextmanager
def running_relay(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    authenticates: bool = False,
    utf8: bool = True,
) -> Iterator[TestRelay]:
    """Run a relay until the block ends.

    Args:
        tls: for connections that are encrypted from the first octet on.
        starttls: to offer STARTTLS with, and to require it.
        authenticates: whether to require `USER` and `RELAY_PASSWORD`; it takes `starttls`.
        utf8: whether to offer SMTPUTF8.
    """
    relay = TestRelay(free_port())
    controller = Controller(
        relay,
        hostname="127.0.0.1",
        port=relay.port,
        server_hostname="relay.example.com",
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=authenticates,
        authenticator=_authenticate,
        enable_SMTPUTF8=utf8,
        ready_timeout=30,
    )
    controller.start()
    try:
        yield relay
    finally:
        asyncio.run_coroutine_threadsafe(_end_connections(), controller.loop).result(30)
        controller.stop()


async def _end_connections() -> None:
    """Close what clients have left open, or have closed a moment ago."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):  # a transport that is closed takes some rounds of the loop
        await asyncio.sleep(0)


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    expected = LoginPassword(USER.encode(), RELAY_PASSWORD.encode())
    return AuthResult(success=data == expected, handled=False)
