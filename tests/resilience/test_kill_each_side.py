"""The client, the server or the database dies: nobody or everybody, and the command completes.

What was answered is recorded, and has to be true right after the death and at the end: `history.py`
has the rules. `--served-kills N` kills at so many moments; the long runs are before a release.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from tests.support.command import Command
from tests.support.fault_injection import emails, write_users
from tests.support.history import Witness
from tests.support.postgres import Server
from tests.support.server_process import Proxy, ServerProcess

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
def witness(
    signed_in: ServerProcess, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Witness]:
    """Sees all that the client asks and is answered. The server is behind it at the same port."""
    with Proxy([signed_in.port], lambda _: None) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        yield Witness(proxy, database)


def end(command: Command, visible: Callable[[], int], witness: Witness) -> None:
    """Check what a death has left, and that the same command completes."""
    assert visible() in (0, USERS)
    stored = witness.look().hashes
    shown, _ = command.finish()
    assert sorted(shown) == emails(USERS)
    assert stored.items() <= witness.look().hashes.items()


def check_whole(visible: Callable[[], int], witness: Witness) -> None:
    """Check that everybody is there, and that the history tells of it truthfully."""
    assert visible() == USERS
    assert len(witness.look_back().hashes) == PASSWORDS


def test_the_client_is_killed(
    moment: float,
    witness: Witness,
    command: Callable[[Path], Command],
    visible: Callable[[], int],
    tmp_path: Path,
) -> None:
    running = command(write_users(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    process.kill()
    process.communicate()
    end(running, visible, witness)
    check_whole(visible, witness)


def test_the_server_is_killed(
    moment: float,
    witness: Witness,
    signed_in: ServerProcess,
    command: Callable[[Path], Command],
    visible: Callable[[], int],
    tmp_path: Path,
) -> None:
    running = command(write_users(tmp_path / "users.yaml", USERS, PASSWORDS))
    process = running.start()
    time.sleep(moment)
    signed_in.kill()
    stored = witness.look().hashes
    signed_in.start()
    _, said = process.communicate(timeout=150)
    assert process.returncode in (0, 3), said
    assert stored.items() <= witness.look().hashes.items()
    if process.returncode:
        end(running, visible, witness)
    check_whole(visible, witness)


@pytest.fixture
def mortal(
    mortal_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Witness]:
    """Sees the same of a server over a PostgreSQL that may be stopped."""
    with ServerProcess(mortal_postgres_url, tmp_path) as server:
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        with Proxy([server.port], lambda _: None) as proxy:
            monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
            yield Witness(proxy, mortal_postgres_url)


def test_the_database_is_stopped(
    moment: float,
    mortal: Witness,
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
    # Now: a page that was lost would be claimed again when the command is run again.
    stored = mortal.look().hashes
    output, said = process.communicate(timeout=150)
    assert process.returncode in (0, 3), said
    assert stored.items() <= mortal.look().hashes.items()
    if process.returncode:
        end(running, visible, mortal)
    else:
        assert len(output.splitlines()) == USERS
    check_whole(visible, mortal)
