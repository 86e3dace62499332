"""The client, the server or the database is killed: a batch is whole or absent, and completes.

What was answered is recorded, and has to be true right after the death and at the end: `history.py`
has the rules. `--served-kills N` kills at so many moments; the long runs are before a release.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import BatchCreateCommand
from tests.support.databases.postgres import PostgresServer
from tests.support.faults.faulty_proxy import FaultyProxy
from tests.support.faults.history import HistoryChecker
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import emails_in_file, write_users_file

from anyscale.domain.validation import Policy
from anyscale.server.core.hashing.argon2id import Profile

pytestmark = pytest.mark.both_stores

# Two chunks of users, and several of passwords.
USERS, PASSWORDS = 2_200, 60

#: In place of 10,000 users in a chunk, and of the cheapest hashes: the server is killed while it
#: hashes, too.
CONSTANTS = {
    "anyscale.server.settings.Policy": partial(Policy, chunk_users=2_000),
    "tests.support.commands.command_process.CHEAPEST": Profile(memory_kib=8_192, passes=1),
}

#: seconds that the whole batch takes on an idle machine that is fast, and until its first hashes
WHOLE, EARLIEST = 0.5, 0.18


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "moment" in metafunc.fixturenames:
        count = metafunc.config.getoption("--served-kills")
        if metafunc.function is test_a_batch_survives_a_stop_of_the_database:
            count = max(1, count // 4)
        random = Random(metafunc.function.__name__)
        metafunc.parametrize(
            "moment", [round(random.uniform(EARLIEST, WHOLE), 2) for _ in range(count)]
        )


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with `CONSTANTS`."""
    with ServerProcess(database, tmp_path, constants=CONSTANTS) as server:
        yield server


@pytest.fixture
def witness(
    configured_server: ServerProcess, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HistoryChecker]:
    """Records the requests of the client and the responses of the server."""
    with FaultyProxy([configured_server.port], lambda _: None) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        yield HistoryChecker(proxy, database)


def end(
    batch_create: BatchCreateCommand, count_accounts: Callable[[], int], witness: HistoryChecker
) -> None:
    """Check what is stored after a kill, and that the same command completes."""
    assert count_accounts() in (0, USERS)
    stored = witness.check().hashes
    shown, _ = batch_create.finish()
    assert sorted(shown) == emails_in_file(USERS)
    assert stored.items() <= witness.check().hashes.items()


def check_whole(count_accounts: Callable[[], int], witness: HistoryChecker) -> None:
    """Check that all accounts exist, and the history."""
    assert count_accounts() == USERS
    assert len(witness.check_finished().hashes) == PASSWORDS


def end_after_an_outage(
    process: CommandProcess,
    stored: Mapping[str, str],
    batch_create: BatchCreateCommand,
    count_accounts: Callable[[], int],
    witness: HistoryChecker,
) -> None:
    """Check that the command completes, or does not know the outcome and completes when repeated.

    Args:
        process: the command, which has seen the outage.
        stored: the hashes that were stored before or after the outage, and stay.
    """
    done = process.finish(150)
    assert done.returncode in (0, 3), done.stderr
    assert stored.items() <= witness.check().hashes.items()
    if done.returncode:
        end(batch_create, count_accounts, witness)
    else:
        assert len(done.stdout.splitlines()) == USERS
    check_whole(count_accounts, witness)


def test_a_batch_survives_a_kill_of_the_client(
    moment: float,
    witness: HistoryChecker,
    batch_create: Callable[[Path], BatchCreateCommand],
    count_accounts: Callable[[], int],
    tmp_path: Path,
) -> None:
    running = batch_create(write_users_file(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    process.kill()
    # Otherwise it was faster than `WHOLE`, and has printed its result: the same command would
    # begin a new run.
    if len(process.stdout.splitlines()) < USERS:
        end(running, count_accounts, witness)
    check_whole(count_accounts, witness)


def test_a_batch_survives_a_kill_of_the_server(
    moment: float,
    witness: HistoryChecker,
    configured_server: ServerProcess,
    batch_create: Callable[[Path], BatchCreateCommand],
    count_accounts: Callable[[], int],
    tmp_path: Path,
) -> None:
    running = batch_create(write_users_file(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    configured_server.kill()
    stored = witness.check().hashes
    configured_server.start()
    end_after_an_outage(process, stored, running, count_accounts, witness)


@pytest.fixture
def mortal(
    stoppable_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HistoryChecker]:
    """The same, for a server on a PostgreSQL that the test may stop."""
    with ServerProcess(stoppable_postgres_url, tmp_path, constants=CONSTANTS) as server:
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        with FaultyProxy([server.port], lambda _: None) as proxy:
            monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
            yield HistoryChecker(proxy, stoppable_postgres_url)


def test_a_batch_survives_a_stop_of_the_database(
    moment: float,
    mortal: HistoryChecker,
    postgres_server: PostgresServer,
    batch_create: Callable[[Path], BatchCreateCommand],
    count_accounts: Callable[[], int],
    tmp_path: Path,
) -> None:
    running = batch_create(write_users_file(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    postgres_server.stop("immediate")
    time.sleep(0.5)
    postgres_server.start()
    # Checked now: the next run of the command would reserve a lost chunk again.
    stored = mortal.check().hashes
    end_after_an_outage(process, stored, running, count_accounts, mortal)
