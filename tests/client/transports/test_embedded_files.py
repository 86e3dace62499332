"""The files of the embedded control plane."""

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.client.transports.steps import accounts, embedded
from tests.support.faults.permissions import without_root
from tests.support.users import (
    POLICY,
    checked_users,
    list_accounts,
)

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
    "conflicts": lambda t: t.batches.conflicts("bat_none"),
    "release": lambda t: t.batches.release("bat_none"),
    "drop": lambda t: t.batches.drop("bat_none"),
    "without_credentials": lambda t: t.links.without_credentials("bat_none", "", 10),
    "suspend": lambda t: t.users.suspend("usr_none"),
    "delete": lambda t: t.users.delete("usr_none"),
    "update": lambda t: t.users.update("usr_none", UserChanges(title="CTO")),
    "set_password_links": lambda t: t.links.create(["usr_none"]),
}


@pytest.mark.parametrize("call", READING.values(), ids=READING)
def test_reading_calls_create_no_file_and_no_folder(
    tmp_path: Path, call: Callable[[Transport], object]
) -> None:
    with closing(embedded(tmp_path)) as transport, suppress(NotFound):
        assert call(transport) in (None, [], POLICY)
    assert not (tmp_path / "data").exists()


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
