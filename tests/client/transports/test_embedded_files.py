"""The files of the embedded control plane."""

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.client.transports.steps import accounts, embedded
from tests.support.faults.permissions import without_root
from tests.support.users import (
    PASSWORD,
    POLICY,
    checked_users,
    list_accounts,
)

from anyscale.domain.models.applications import ApplicationChanges
from anyscale.domain.models.users import UserChanges
from anyscale.errors import (
    NotFound,
    StoreUnavailable,
)
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport

READING: dict[str, Callable[[Transport], object]] = {
    "policy": lambda t: t.policy(),
    "look_up": lambda t: t.batches.look_up(checked_users("a"), 0),
    "find": lambda t: t.batches.find("key"),
    "batches": lambda t: t.batches.list(open_only=False, before="", limit=100),
    "created": lambda t: t.batches.created("bat_none", "", 10),
    "users": list_accounts,
    "users_with_email": lambda t: list_accounts(t, email="a@example.com", exact=True),
    "users_with_name": lambda t: list_accounts(t, name="Jane", exact=True),
    "show": lambda t: t.batches.show("bat_none"),
    "undo": lambda t: t.batches.undo("bat_none", "", force=False, dry_run=False),
    "undo_dry_run": lambda t: t.batches.undo("bat_none", "", force=False, dry_run=True),
    "reserve": lambda t: t.batches.reserve("bat_none", 0, checked_users("a")),
    "hash": lambda t: t.batches.hash("bat_none", [(0, PASSWORD)]),
    "publish": lambda t: t.batches.publish("bat_none", 1),
    "conflicts": lambda t: t.batches.conflicts("bat_none"),
    "release": lambda t: t.batches.release("bat_none"),
    "drop": lambda t: t.batches.drop("bat_none"),
    "without_credentials": lambda t: t.links.without_credentials("bat_none", "", 10),
    "suspend": lambda t: t.users.suspend("usr_none"),
    "delete": lambda t: t.users.delete("usr_none"),
    "update": lambda t: t.users.update("usr_none", UserChanges(title="CTO")),
    "restore": lambda t: t.users.restore("usr_none"),
    "set_role": lambda t: t.users.set_role("usr_none", "owner"),
    "reset_second_factor": lambda t: t.users.reset_second_factor("usr_none", "lost"),
    "find_users": lambda t: [user for user in t.users.find(["a@example.com"]) if user],
    "applications": lambda t: t.applications.list(),
    "application": lambda t: t.applications.get("app_none"),
    "application_update": lambda t: t.applications.update("app_none", ApplicationChanges(name="a")),
    "rotate_secret": lambda t: t.applications.rotate_secret("app_none", now=True),
    "application_delete": lambda t: t.applications.delete("app_none"),
    "audit": lambda t: t.audit.list(10, 10),
    "no_links": lambda t: t.links.create([]),
    "set_password_links": lambda t: t.links.create(["usr_none"]),
}


@pytest.mark.parametrize("call", READING.values(), ids=READING)
def test_reading_calls_create_no_file_and_no_folder(
    tmp_path: Path, call: Callable[[Transport], object]
) -> None:
    with closing(embedded(tmp_path)) as transport, suppress(NotFound):
        assert call(transport) in (None, [], POLICY)
    assert not (tmp_path / "data").exists()


def test_a_search_creates_no_file_and_says_why_it_finds_nobody(tmp_path: Path) -> None:
    with closing(embedded(tmp_path)) as transport:
        notices: list[str] = []
        transport.on_notice = notices.append
        assert list_accounts(transport, search="jane") == list_accounts(transport) == []
    assert notices == [f"There is no control plane yet at {transport.where}"]
    assert not (tmp_path / "data").exists()


def test_a_database_that_another_process_creates_is_seen_at_once(tmp_path: Path) -> None:
    with closing(embedded(tmp_path)) as transport, closing(embedded(tmp_path)) as other:
        assert accounts(transport) == []
        other.batches.create("key", checked_users("a"), "fail")
        assert accounts(transport) == ["a@example.com"]


@pytest.mark.parametrize("call", READING.values(), ids=READING)
def test_reading_calls_do_not_change_a_file(
    tmp_path: Path, call: Callable[[Transport], object]
) -> None:
    with closing(embedded(tmp_path)) as transport:
        transport.batches.create("key", checked_users("b"), "fail")
    before = {file: file.read_bytes() for file in (tmp_path / "data").iterdir()}

    with closing(embedded(tmp_path)) as transport, suppress(NotFound):
        call(transport)

    assert {file: file.read_bytes() for file in (tmp_path / "data").iterdir()} == before


def test_an_inaccessible_database_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    with closing(embedded(tmp_path)) as transport:
        transport.batches.create("key", checked_users("a"), "fail")
    (tmp_path / "data").chmod(0o000)
    try:
        with (
            without_root(),
            closing(embedded(tmp_path)) as transport,
            pytest.raises(StoreUnavailable, match="Permission denied"),
        ):
            accounts(transport)
    finally:
        (tmp_path / "data").chmod(0o700)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "anyscale.db").write_text("no database" * 100)
    calls: list[Callable[[Transport], object]] = [accounts, lambda t: t.batches.open("key", "fail")]
    for call in calls:
        with (
            closing(embedded(tmp_path)) as transport,
            pytest.raises(StoreUnavailable, match="the file is not a database"),
        ):
            call(transport)


def test_a_killed_first_use_leaves_no_users(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "anyscale.db").touch()
    with closing(embedded(tmp_path)) as transport:
        assert accounts(transport) == []
        with pytest.raises(NotFound):
            transport.batches.show("bat_none")
        assert (tmp_path / "data" / "anyscale.db").stat().st_size == 0
        transport.batches.create("key", checked_users("a"), "fail")
        assert accounts(transport) == ["a@example.com"]


def test_the_environment_names_the_database(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.db"
    transport = EmbeddedTransport.from_environment({"ANYSCALE_DATABASE_URL": f"sqlite:///{path}"})
    assert transport.where == str(path)
    assert not path.exists()
