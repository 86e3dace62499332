"""The client, the server or the database dies: nobody or everybody, and the command completes.

`--served-kills N` kills at so many moments; the long runs are before a release.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from tests.acceptance.conftest import Command
from tests.acceptance.faults import emails, write_users
from tests.acceptance.served import ServerProcess
from tests.contract.people import execute
from tests.postgres import Server

from anyscale.server.app import ControlPlane, Settings

USERS, PASSWORDS = 20_000, 50

#: seconds that the whole takes on a machine with nothing else to do
WHOLE = 2.5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "moment" in metafunc.fixturenames:
        count = metafunc.config.getoption("--served-kills")
        if metafunc.function is test_the_database_is_stopped:
            count = max(1, count // 4)
        random = Random(metafunc.function.__name__)
        metafunc.parametrize("moment", [round(random.uniform(0.2, WHOLE), 2) for _ in range(count)])


@pytest.fixture
def hashes(database: str) -> Callable[[], dict[str, str]]:
    """Reads the stored hashes, whatever the server does."""

    def read() -> dict[str, str]:
        path = database.removeprefix("sqlite:///")
        where = database if path == database else Path(path)
        with closing(ControlPlane(Settings(database=where), create=False)) as plane:
            if plane.store.is_blank:
                return {}
            with plane.store.read() as rows:
                sql = "select user_id, password_hash from users where password_hash is not null"
                return dict(execute(rows, sql).fetchall())

    return read


def end(command: Command, visible: Callable[[], int], hashes: Callable[[], dict[str, str]]) -> None:
    """Check what a death has left, and that the same command completes."""
    assert visible() in (0, USERS)
    stored = hashes()
    shown, _ = command.finish()
    assert sorted(shown) == emails(USERS)
    assert visible() == USERS
    assert len(hashes()) == PASSWORDS
    assert stored.items() <= hashes().items()


def test_the_client_is_killed(
    moment: float,
    signed_in: ServerProcess,
    command: Callable[[Path], Command],
    visible: Callable[[], int],
    hashes: Callable[[], dict[str, str]],
    tmp_path: Path,
) -> None:
    running = command(write_users(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    process.kill()
    process.communicate()
    end(running, visible, hashes)


def test_the_server_is_killed(
    moment: float,
    signed_in: ServerProcess,
    command: Callable[[Path], Command],
    visible: Callable[[], int],
    hashes: Callable[[], dict[str, str]],
    tmp_path: Path,
) -> None:
    running = command(write_users(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    signed_in.kill()
    stored = hashes()
    signed_in.start()
    _, said = process.communicate(timeout=150)
    assert process.returncode in (0, 3), said
    assert stored.items() <= hashes().items()
    if process.returncode:
        end(running, visible, hashes)
    assert visible() == USERS


@pytest.fixture
def mortal(
    mortal_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A server over a PostgreSQL that may be stopped."""
    with ServerProcess(mortal_postgres_url, tmp_path) as server:
        monkeypatch.setenv("ANYSCALE_HOST", server.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield server


def test_the_database_is_stopped(
    moment: float,
    mortal: ServerProcess,
    postgres_server: Server,
    command: Callable[[Path], Command],
    visible: Callable[[], int],
    tmp_path: Path,
) -> None:
    running = command(write_users(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    postgres_server.stop("immediate")
    time.sleep(0.5)
    postgres_server.start()
    output, said = process.communicate(timeout=150)
    assert process.returncode in (0, 3), said
    if process.returncode:
        assert visible() in (0, USERS)
        shown, _ = running.finish()
        assert sorted(shown) == emails(USERS)
    else:
        assert len(output.splitlines()) == USERS
    assert visible() == USERS
