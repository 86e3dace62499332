"""Comparing a source with the accounts of an embedded control plane."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.servers.control_planes import embedded_transport
from tests.support.users import checked_users, users_to_create

from anyscale.domain.models.users import AdminCreateUser, User, UserChanges
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, BatchUnfinished
from anyscale.errors.batches import MAX_PROBLEMS
from anyscale.transport.base import Transport
from anyscale.user import verification
from anyscale.user.list_source import ListSource
from anyscale.user.verification import Verification
from anyscale.users_file import UsersFile

MANY = [f"user{number}" for number in range(400)]


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    with closing(embedded_transport(tmp_path, Policy())) as transport:
        yield transport


def create(transport: Transport, *names: str) -> list[str]:
    """Create accounts; give their ids."""
    users = transport.batches.create("key", checked_users(*names), "fail").users
    return [user.user_id for user in users]


def test_each_account_of_the_source_is_known_and_no_other_one(transport: Transport) -> None:
    first, *_ = create(transport, *MANY)
    transport.users.suspend(first)
    source = ListSource(users_to_create(*MANY[:-10]))
    some = Verification(transport, source, keep_ids=True)
    assert [one.kind for one in some.differences()] == ["suspended"]
    assert [user.email for user in some.extra()] == [f"{name}@example.com" for name in MANY[-10:]]


def test_a_suspended_account_shows_its_other_differences(transport: Transport) -> None:
    (ann,) = create(transport, "ann")
    transport.users.suspend(ann)
    transport.users.update(ann, UserChanges(title="Boss"))
    found = Verification(transport, ListSource(users_to_create("ann"))).differences()
    assert [(one.kind, one.field) for one in found] == [("suspended", None), ("different", "title")]


def test_a_file_that_changes_before_the_last_difference_is_no_result(
    transport: Transport, tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("email\nann@example.com\njoe@example.com\n", encoding="utf-8")
    with closing(UsersFile.open(str(path))) as file:
        differences = Verification(transport, file).differences()
        assert next(differences).kind == "missing"
        path.write_text("email\nann@example.com\n", encoding="utf-8")
        with pytest.raises(BatchUnfinished, match="was changed while it was being read"):
            list(differences)


def test_all_problems_are_counted_and_nothing_is_looked_up_after_the_first(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = list[str]()
    find = transport.users.find

    def noted(emails: Sequence[str]) -> Sequence[User | None]:
        looked_up.extend(emails)
        return find(emails)

    monkeypatch.setattr(verification, "_CHUNK", 1)
    monkeypatch.setattr(transport.users, "find", noted)
    wrong = [AdminCreateUser("Jane", f"{number}") for number in range(2 * MAX_PROBLEMS + 2)]
    source = ListSource([*users_to_create("ann"), *wrong, *users_to_create(*MANY)])
    with pytest.raises(BatchRefused) as refused:
        list(Verification(transport, source).differences())
    assert (refused.value.count, refused.value.more) == (2 * MAX_PROBLEMS + 2, MAX_PROBLEMS + 2)
    assert "user50@example.com" not in looked_up
