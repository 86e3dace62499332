"""A server that sends mail, and what an administrator requests of it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.relays import SENDER
from tests.support.servers.server_process import ServerProcess
from tests.support.users import PASSWORD, checked_user, create_accounts
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.mail.settings import MailSettings
from anyscale.server.core.secrets import hash_of
from anyscale.server.settings import Settings
from anyscale.server.store.records.mail import MailRecord

#: A server that waits for milliseconds where another one waits for a minute or a second.
QUICK: Mapping[str, object] = {
    "anyscale.server.core.mail.kinds.MINUTE_MS": 200,
    "anyscale.server.core.mail.sender._IDLE_SECONDS": 0.05,
    "anyscale.server.core.mail.sender._LEASE": 6_000,
    "anyscale.server.core.mail.sender._RENEW_SECONDS": 0.5,
    "anyscale.server.background.mail._REPLY_SECONDS": 0.3,
    "anyscale.server.core.mail.sender._LOG_EVERY": 0.0,
}

_PUBLIC_URL = "https://accounts.example.com"


def relay_environment(port: int, tls: str, **settings: str) -> dict[str, str]:
    """Return the settings of a server for a relay on this machine, with as many mails as it can."""
    fixed = {"PUBLIC_URL": _PUBLIC_URL, "SMTP_HOST": "localhost", "SMTP_PORT": str(port)}
    fixed |= {"SMTP_TLS": tls, "MAIL_FROM": SENDER, "MAIL_PER_MINUTE": "60000"}
    return {f"ANYSCALE_{name}": value for name, value in (fixed | settings).items()}


def control_plane_of(url: str) -> ControlPlane:
    """Open the control plane of a database in this process, which only writes into its outbox."""
    database = Path(url.removeprefix("sqlite:///"))
    settings = Settings(
        database=database if database.is_absolute() else url,
        public_url=_PUBLIC_URL,
        mail=MailSettings(host="localhost", sender=SENDER),
    )
    return cheap_control_plane(settings)


class MailSite:
    """A server in a process of its own, and a control plane of its database in this one.

    Args:
        folder: for its files.
        environment: see `relay_environment`.
        database: its URL; by default one on SQLite.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], database: str = "") -> None:
        database = database or f"sqlite:///{folder / 'anyscale.db'}"
        self.control_plane = control_plane_of(database)
        self.server = ServerProcess(database, folder, settings=environment, constants=QUICK)

    def __enter__(self) -> Self:
        create_accounts(self.control_plane, "jane")
        self.server.start()
        return self

    def __exit__(
        self,
        error: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.kill()
        self.control_plane.close()

    def request_links(self, *emails: str) -> None:
        """Create accounts without a password, which get links by mail."""
        for email in emails:
            self.control_plane.batches.create(OPERATOR, email, [checked_user(email)], "fail")
        found = self.control_plane.users.find(list(emails))
        self.control_plane.links.mail(OPERATOR, [user.user_id for user in found if user])

    def mails(self, state: str = "due") -> Sequence[MailRecord]:
        """Return the mails of the outbox in a state."""
        with self.control_plane.store.read() as tx:
            return tx.outbox.list(state, "", 1_000)

    def error_of(self, email: str) -> str:
        """Wait until a mail was tried, and return what became of it; empty if it was sent."""
        [user] = self.control_plane.users.find([email])
        assert user

        def find() -> MailRecord | None:
            with self.control_plane.store.read() as tx:
                return next(iter(tx.outbox.list_of(user.user_id)), None)

        wait_until(lambda: (mail := find()) is None or mail.last_error)
        return (mail.last_error or "") if (mail := find()) else ""

    def wait_until_sent(self) -> None:
        """Wait until no mail is due."""
        wait_until(lambda: not self.mails())

    def link_works(self, code: str) -> bool:
        """Whether a link can be used."""
        with self.control_plane.store.read() as tx:
            return tx.links.get(hash_of(code)) is not None

    def responds(self) -> None:
        """Send requests and sign in, each of which has to be answered in time."""
        with closing(HTTPConnection("127.0.0.1", self.server.port, timeout=30)) as connection:
            for path in ("/healthz", "/readyz", "/sign-in", "/metrics"):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                assert response.status == 200, path
            body = json.dumps({"email": "jane@example.com", "password": PASSWORD})
            kind = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/sessions", body, kind)
            assert connection.getresponse().status == 200
