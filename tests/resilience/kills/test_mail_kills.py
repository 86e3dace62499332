"""The command, a server or the relay is killed while a batch is created and its links are mailed.

Each account gets a mail whose link works, and a kill costs at most one mail more. `--mail-kills N`
kills at so many moments, `--mail-users N` is the size of the batch, and `--mail-batches N` their
number; the long runs are before a release.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest
from tests.support.callers import OPERATOR
from tests.support.commands.running import BatchCreateCommand, run_command
from tests.support.mail.mail_site import QUICK, control_plane_of, relay_environment
from tests.support.mail.relay_process import AcceptedMail, RelayProcess
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import emails_in_file, write_users_file
from tests.support.waiting import wait_until

from anyscale.domain.models.mail import Mailing
from anyscale.server.core.secrets import hash_of

pytestmark = pytest.mark.both_stores

#: what the long runs report
_log = logging.getLogger(__name__)

#: seconds that a command takes, on an idle machine that is fast
WHOLE = 0.6

#: of the mails, one is deferred
DEFER = 10

#: seconds in which all mails of a batch have to be sent
MOST_SECONDS = 200

#: Seconds between the lease of a mail and its first command: it is on its way. They are fewer than
#: those of a lease, after which another server would send it.
ON_ITS_WAY = 5.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(metafunc.config.getoption("--mail-batches")))


class Site:
    """Two servers and a relay, which may be killed, and a control plane in this process.

    Args:
        database: its URL.
        folder: for all files.
        cleanup: ends what runs.
    """

    def __init__(self, database: str, folder: Path, cleanup: ExitStack) -> None:
        self.relay = cleanup.enter_context(RelayProcess(folder, DEFER))
        environment = relay_environment(self.relay.port, "none")
        self.servers = [
            cleanup.enter_context(
                ServerProcess(database, folder, settings=environment, constants=QUICK)
            )
            for _ in range(2)
        ]
        self.kills: Counter[str] = Counter()
        self.control_plane = control_plane_of(database)
        cleanup.enter_context(closing(self.control_plane))

    def kill(self, name: str) -> None:
        """Kill a server or the relay, and start it again."""
        first, second = self.servers
        victims: dict[str, RelayProcess | ServerProcess] = {"first": first, "second": second}
        victim = victims.get(name, self.relay)
        victim.kill()
        victim.start()
        self.kills[name] += 1

    def mailing(self) -> Mailing:
        [mailing] = self.control_plane.mail_queue.list_mailings("", 10)
        return mailing

    def wait_until_done(self) -> None:
        """Wait until no mail is due."""

        def is_done() -> bool:
            found = self.control_plane.mail_queue.list_mailings("", 10)
            with self.control_plane.store.read() as tx:
                due = tx.outbox.list("due", "", 1)
            return not due and all(mailing.state != "sending" for mailing in found)

        wait_until(is_done, MOST_SECONDS, interval=0.05)

    def works(self, mail: AcceptedMail) -> bool:
        """Whether the link of a mail can be used."""
        with self.control_plane.store.read() as tx:
            return tx.links.get(hash_of(mail.code)) is not None


@pytest.fixture
def site(
    database: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    with ExitStack() as cleanup:
        site = Site(database, tmp_path, cleanup)
        monkeypatch.setenv("ANYSCALE_HOST", site.servers[0].url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", site.servers[0].token())
        yield site


class MailedBatch(BatchCreateCommand):
    """The command with `--mail-links`, in a thread that runs it until it succeeds."""

    options = ("--mail-links",)

    def __init__(self, folder: Path, users: int, cleanup: ExitStack) -> None:
        super().__init__(write_users_file(folder / "users.yaml", users, 0), cleanup)
        self.users = users
        self.failed: list[BaseException] = []

    def begin(self, moments: list[float]) -> threading.Thread:
        """Kill it at each of some moments after its start, then let it complete."""
        thread = threading.Thread(target=self._run, args=(moments,))
        thread.start()
        return thread

    def _run(self, moments: list[float]) -> None:
        try:
            for moment in moments:
                process = self.start()
                time.sleep(moment)  # a random one: there is nothing to wait for
                process.kill()
                if len(process.stdout.splitlines()) == self.users:
                    return  # It was faster: the same command would begin a new batch.
            self.finish(20)
        except BaseException as error:  # noqa: BLE001 - of the thread
            self.failed.append(error)


@pytest.fixture
def mailed_batch(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MailedBatch]:
    users = request.config.getoption("--mail-users")
    with ExitStack() as cleanup:
        yield MailedBatch(tmp_path, users, cleanup)


def test_kills_lose_no_mail_and_each_costs_at_most_one_more(
    site: Site, mailed_batch: MailedBatch, request: pytest.FixtureRequest, number: int
) -> None:
    users = mailed_batch.users
    kills = request.config.getoption("--mail-kills")
    random = Random(f"{request.node.name} {number}")
    of_commands = [random.uniform(0.02, WHOLE) for _ in range(max(1, kills // 5))]
    thread = mailed_batch.begin(of_commands)
    moments = sorted(random.randrange(users) for _ in range(kills - len(of_commands)))
    for moment in moments:
        wait_until(lambda: site.relay.count() >= moment, MOST_SECONDS)  # noqa: B023 - it is called here
        time.sleep(random.uniform(0, 0.02))  # a random moment of the next mail
        site.kill(random.choice(["relay", "first", "second"]))
    thread.join(MOST_SECONDS)
    site.kills["command"] = len(of_commands)
    assert not mailed_batch.failed, mailed_batch.failed
    site.wait_until_done()
    check(site, users)
    _log.warning("%s: %d accounts, %d mails", site.kills, users, site.relay.count())


def check(site: Site, users: int) -> None:
    """Check that each account got a mail, and that the link of its newest one works."""
    mails = site.relay.mails()
    newest = {mail.recipient: mail for mail in mails}
    assert sorted(newest) == emails_in_file(users)
    assert len(mails) - users <= site.kills.total()
    assert len({mail.message_id for mail in mails}) == len(mails)
    assert all(site.works(mail) for mail in newest.values())
    mailing = site.mailing()
    assert (mailing.state, mailing.total, mailing.sent) == ("sent", users, users)
    assert (mailing.due, mailing.failed) == (0, 0)


def test_no_mail_starts_after_a_suspension_or_an_undo(
    site: Site, mailed_batch: MailedBatch, request: pytest.FixtureRequest
) -> None:
    users = mailed_batch.users
    mailed_batch.begin([]).join(MOST_SECONDS)
    assert not mailed_batch.failed, mailed_batch.failed
    emails = Random(f"{request.node.name}").sample(emails_in_file(users), users)
    suspended, others = set(emails[: users // 4]), set(emails[users // 4 :])
    wait_until(lambda: site.relay.count() >= users // 4, MOST_SECONDS)
    for user in site.control_plane.users.find(sorted(suspended)):
        assert user
        site.control_plane.lifecycle.suspend(OPERATOR, user.user_id)
    suspended_at = time.monotonic()
    site.kill("first")
    wait_until(lambda: site.relay.count() >= users // 2, MOST_SECONDS)
    check_ended(site, suspended, suspended_at)
    batch = ["batch", "undo", str(site.mailing().batch_id), "--yes", "--force"]
    run_command(batch, os.environ, folder=Path.cwd()).check_returncode()
    undone_at = time.monotonic()
    site.kill("second")
    site.kill("relay")
    site.wait_until_done()
    check_ended(site, suspended, suspended_at)
    check_ended(site, others, undone_at)


def check_ended(site: Site, emails: set[str], at: float) -> None:
    """Check that no link of some accounts works, and that no mail to them began after a time."""
    mails = [mail for mail in site.relay.mails() if mail.recipient in emails]
    late = [mail for mail in mails if mail.started > at]
    assert len(late) <= len(site.servers)
    assert all(mail.started < at + ON_ITS_WAY for mail in late)
    assert not any(site.works(mail) for mail in mails)
    _log.warning("%d of %d mails were sent, %d late", len(mails), len(emails), len(late))
