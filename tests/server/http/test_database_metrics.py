"""The metrics of batches, workers, schema and accounts, and what a slow database does to them."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.servers.server_process import ServerProcess
from tests.support.users import checked_users, create_accounts
from tests.support.waiting import wait_until

from anyscale import Anyscale, __version__
from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.http import metrics
from anyscale.server.store.schema_versions import steps_of
from anyscale.user.models import AdminCreateUser

pytestmark = pytest.mark.both_stores

Scrape = Callable[[], dict[str, str]]


@pytest.fixture
def control_plane(store_deployment: Deployment) -> ControlPlane:
    control_plane = store_deployment.control_plane()
    create_accounts(control_plane, "jane", "joe")
    return control_plane


@pytest.fixture
def url(control_plane: ControlPlane) -> Iterator[str]:
    with serve_in_process(control_plane) as url:
        yield url


@pytest.fixture
def scrape(url: str, monkeypatch: pytest.MonkeyPatch) -> Scrape:
    """Reads the metrics of a server, also of a slow database; gives the values by their names."""
    monkeypatch.setattr(metrics, "_DATABASE_SECONDS", 60.0)
    return lambda: scraped(url)


def scraped(url: str) -> dict[str, str]:
    response = HttpClient(url).request("GET", "/metrics")
    assert response.status == 200
    return dict(re.findall(r"^(anyscale_\S+) (\S+)$", response.text, re.MULTILINE))


def test_the_metrics_have_the_version_the_schema_the_workers_and_the_published_accounts(
    control_plane: ControlPlane, scrape: Scrape
) -> None:
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("ann"))

    values = scrape()

    assert values[f'anyscale_build_info{{version="{__version__}"}}'] == "1.0"
    assert values["anyscale_schema"] == f"{max(steps_of('sqlite'))}.0"
    assert values["anyscale_workers"] == "1.0"
    assert values["anyscale_accounts"] == "2.0"
    assert values["anyscale_imported_hashes"] == "0.0"


def test_batches_and_the_users_that_they_create_and_an_undo_deletes_are_counted(
    control_plane: ControlPlane, url: str, scrape: Scrape
) -> None:
    token = control_plane.tokens.create(OPERATOR, "jane", "owner", None)
    sdk = Anyscale(host=url, token=token)
    users = [
        AdminCreateUser(name, f"{name}@example.com", "correct horse battery")
        for name in ("ann", "bob")
    ]
    before = scrape()

    sdk.user.admin_batch_create(users)
    batch = next(iter(sdk.batch.list(max_items=1)))
    sdk.batch.undo(batch.batch_id, dry_run=True)
    sdk.batch.undo(batch.batch_id)
    open_batch = control_plane.batches.open(OPERATOR, "key", "fail")
    sdk.batch.drop(open_batch.batch_id)

    after = scrape()
    for metric, number in {
        'anyscale_batches_total{state="published"}': 1,
        'anyscale_batches_total{state="dropped"}': 1,
        "anyscale_users_created_total": 2,
        "anyscale_password_hashes_total": 2,
        "anyscale_users_undone_total": 2,
    }.items():
        assert float(after[metric]) - float(before.get(metric, 0)) == number, metric


def test_a_database_that_does_not_respond_delays_no_scrape_and_is_read_once(
    control_plane: ControlPlane, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scrape()["anyscale_accounts"] == "2.0"
    monkeypatch.setattr(metrics, "_DATABASE_SECONDS", 0.05)
    responds, calls, schema = threading.Event(), [], control_plane.store.schema

    def slow() -> int:
        calls.append(1)
        assert responds.wait(60)
        return schema()

    monkeypatch.setattr(control_plane.store, "schema", slow)
    for _ in range(3):
        values = scrape()
        assert "anyscale_schema" not in values
        assert values["anyscale_accounts"] == "2.0"
    assert len(calls) == 1
    responds.set()
    wait_until(lambda: "anyscale_schema" in scrape())


def test_a_database_that_fails_leaves_the_other_metrics(
    control_plane: ControlPlane, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise StoreUnavailable("no disk")

    monkeypatch.setattr(control_plane.store, "schema", fail)
    values = scrape()

    assert "anyscale_schema" not in values
    assert "anyscale_accounts" not in values
    assert values["anyscale_workers"] == "1.0"


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [
        (0.1, 60),  # once a minute
        (3, 300),  # as one part in a hundred of the time
    ],
)
def test_accounts_are_counted_seldom(
    seconds: float, pause: float, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000.0]
    count = AccountCount(control_plane.transactions)
    monkeypatch.setattr(
        "anyscale.server.core.accounts.account_count.time.monotonic", lambda: clock[0]
    )
    with closing(control_plane), control_plane.store.read() as tx:
        users = type(tx.users)

        def slow_count(self: object) -> dict[str, int]:
            clock[0] += seconds
            return {"password": int(clock[0])}

        monkeypatch.setattr(users, "count", slow_count)
        count.refresh()
        first, counted_at = count.value, clock[0]
        clock[0] = counted_at + pause - 1
        count.refresh()
        assert count.value == first
        clock[0] = counted_at + pause
        count.refresh()
        assert count.value != first


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose two workers have started, each of which needs a second of processor time."""
    folder = tmp_path_factory.mktemp("workers")
    with ServerProcess(f"sqlite:///{folder}/anyscale.db", folder, workers=2) as server:
        wait_until(lambda: scraped(server.url)["anyscale_workers"] == "2.0")
        yield server


def folder_of_metrics(server: ServerProcess) -> Path:
    environment = Path(f"/proc/{server.worker_pids()[0]}/environ").read_text()
    (folder,) = re.findall("PROMETHEUS_MULTIPROC_DIR=([^\0]+)", environment)
    return Path(folder)


def test_a_scrape_waits_for_the_file_of_a_process_that_starts(two_workers: ServerProcess) -> None:
    file = folder_of_metrics(two_workers) / "counter_1.db"
    file.touch()
    assert HttpClient(two_workers.url).request("GET", "/metrics").status == 429
    threading.Timer(0.05, lambda: file.write_bytes(bytes(4096))).start()
    assert scraped(two_workers.url)["anyscale_workers"] == "2.0"


def test_a_worker_that_was_killed_is_logged_as_a_warning_and_not_counted(
    two_workers: ServerProcess,
) -> None:
    killed = two_workers.worker_pids()[0]
    gauges = folder_of_metrics(two_workers) / f"gauge_livesum_{killed}.db"
    assert gauges.exists()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not gauges.exists())
    wait_until(lambda: len(two_workers.worker_pids()) == 2)
    wait_until(lambda: scraped(two_workers.url)["anyscale_workers"] == "2.0")
    lines = map(json.loads, two_workers.log.read_text(encoding="utf-8").splitlines())
    assert ("warning", "worker lost") in [(line["level"], line["event"]) for line in lines]
