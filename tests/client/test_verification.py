"""Comparing a source with the accounts of an embedded control plane."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.servers.control_planes import embedded_transport
from tests.support.users import checked_users, list_accounts, users_to_create

from anyscale.comparison import corrections, matched_users, verification
from anyscale.comparison.corrections import Correction, correct_emails
from anyscale.comparison.verification import Verification
from anyscale.domain.models.users import (
    AdminCreateUser,
    AdminImportUser,
    EmailChange,
    ExpectedUser,
    User,
    UserChanges,
)
from anyscale.domain.validation import Policy
from anyscale.errors import (
    AccountEdited,
    BatchRefused,
    BatchUnfinished,
    ConfigError,
    NotFound,
)
from anyscale.errors.batches import MAX_PROBLEMS
from anyscale.transport.base import Transport
from anyscale.user.list_source import ListSource
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


def test_accounts_in_doubt_are_not_missing_from_the_source(transport: Transport) -> None:
    staff = numbered({"1": "ann", "2": "ben", "3": "cy"}).reading(Policy())
    transport.batches.create("key", list(staff), "fail")
    some = Verification(transport, numbered({"1": "ben"}), keep_ids=True)
    assert [one.kind for one in some.differences()] == ["question"]
    assert [user.email for user in some.extra()] == ["cy@example.com"]


def test_a_row_that_names_an_owner_otherwise_differs_and_is_not_a_question(
    transport: Transport,
) -> None:
    (owner,) = create(transport, "ann")
    transport.users.set_role(owner, "owner")
    rows = ListSource([AdminCreateUser("Zoe", "ann@example.com")])
    (difference,) = Verification(transport, rows).differences()
    assert (difference.kind, difference.field, difference.kept) == ("different", "name", True)


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


def test_a_file_of_emails_alone_is_compared_also_beyond_the_first_reading(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (matched_users, verification):
        monkeypatch.setattr(module, "CHUNK", 1)
    monkeypatch.setattr(verification, "_KEPT", 1)
    emails = [f"{name}@example.com" for name in ("ann", "ben", "joe")]
    path = tmp_path / "users.csv"
    path.write_text("\n".join(["email", *emails]), encoding="utf-8")
    with closing(UsersFile.open(str(path))) as file:
        found = list(Verification(transport, file).differences())
    assert [(one.kind, one.email) for one in found] == [("missing", email) for email in emails]


def test_all_problems_are_counted_and_nothing_is_looked_up_after_the_first(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = list[str]()
    find = transport.users.find

    def noted(emails: Sequence[str], external_ids: Sequence[str] = ()) -> Sequence[User | None]:
        looked_up.extend(emails)
        return find(emails, external_ids)

    monkeypatch.setattr(matched_users, "CHUNK", 1)
    monkeypatch.setattr(transport.users, "find", noted)
    wrong = [AdminCreateUser("Jane", f"{number}") for number in range(2 * MAX_PROBLEMS + 2)]
    source = ListSource([*users_to_create("ann"), *wrong, *users_to_create(*MANY)])
    with pytest.raises(BatchRefused) as refused:
        list(Verification(transport, source).differences())
    assert (refused.value.count, refused.value.more) == (2 * MAX_PROBLEMS + 2, MAX_PROBLEMS + 2)
    assert "user50@example.com" not in looked_up


#: 1 and 2 swap their emails, 3 gives its to the new 5, and 4 gets another number.
STAFF = {"1": "ann", "2": "ben", "3": "cy", "4": "dee"}
MOVED = {"5": "cy", "1": "ben", "2": "ann", "40": "dee", "3": "cyrus"}


def numbered(people: Mapping[str, str]) -> ListSource:
    return ListSource(
        AdminImportUser("Jane", f"{name}@example.com", external_id=number)
        for number, name in people.items()
    )


@pytest.mark.parametrize("chunk", [1, 2, 2_000])
@pytest.mark.parametrize("kept", [1, 2, 10_000])
def test_users_that_depend_on_each_other_are_matched_wherever_they_are(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, chunk: int, kept: int
) -> None:
    for module in (matched_users, verification):
        monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(verification, "_KEPT", kept)
    users = numbered(STAFF).reading(Policy())
    transport.batches.create("key", list(users), "fail")

    found = Verification(transport, numbered(MOVED))
    emails = [one.partition("@")[0] for one in MOVED.values()]
    assert [
        (one.kind, one.field, str(one.account).partition("@")[0]) for one in found.differences()
    ] == [
        ("missing", None, "None"),
        ("different", "email", "ann"),
        ("different", "email", "ben"),
        ("question", None, "None"),
        ("different", "email", "cy"),
    ]
    assert found.checked == len(emails)


def test_emails_are_changed_together_only_where_they_are_passed_on(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "_AT_ONCE", 2)
    names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "owner"]
    ids = dict(zip(names, create(transport, *names), strict=True))
    transport.users.set_role(ids["owner"], "owner")
    calls: list[int] = []
    change = transport.users.change_emails

    def noted(changes: Sequence[EmailChange]) -> None:
        calls.append(len(changes))
        change(changes)

    monkeypatch.setattr(transport.users, "change_emails", noted)
    wanted = {
        # a circle, and a chain
        "a": "b",
        "b": "c",
        "c": "a",
        "d": "e",
        "e": "e.new",
        # one that is free, one that is taken, one in another spelling, and an owner's
        "f": "f.new",
        "g": "i",
        "h": "H",
        "owner": "o.new",
    }
    due = [
        Correction(
            ids[name],
            f"{new}@example.com",
            UserChanges(email=f"{new}@example.com"),
            ExpectedUser(email=f"{name}@example.com"),
        )
        for name, new in wanted.items()
    ]
    refused = {one.email: refusal for one, refusal in correct_emails(transport, due) if refusal}
    assert refused == {
        "i@example.com": "'i@example.com' has an account already",
        "o.new@example.com": ("the account is an owner's: no file changes its email"),
    }
    assert sorted(calls) == [1, 1, 1, 1, 2, 2, 2, 3]
    now = {user.user_id: user.email for user in list_accounts(transport)}
    changed = wanted | {"g": "g", "owner": "owner", "i": "i"}
    assert now == {ids[name]: f"{new}@example.com" for name, new in changed.items()}


def test_an_email_that_somebody_has_changed_since_is_left(transport: Transport) -> None:
    first, second = create(transport, "a", "b")
    changes = [
        EmailChange(first, "b@example.com", ExpectedUser(email="a@example.com")),
        EmailChange(second, "a@example.com", ExpectedUser(email="b@example.com")),
    ]
    for _ in range(2):  # a repeated call changes nothing more
        transport.users.change_emails(changes)
    assert [user.email for user in list_accounts(transport)] == ["b@example.com", "a@example.com"]
    with pytest.raises(AccountEdited):
        transport.users.change_emails(
            [EmailChange(first, "c@example.com", ExpectedUser(email="a@example.com"))]
        )
    with pytest.raises(ConfigError, match="is not an email address"):
        transport.users.change_emails(
            [EmailChange(first, "c", ExpectedUser(email="b@example.com"))]
        )
    with pytest.raises(NotFound):
        transport.users.change_emails(
            [EmailChange("usr_00", "c@example.com", ExpectedUser(email="b@example.com"))]
        )
    assert [user.email for user in list_accounts(transport)] == ["b@example.com", "a@example.com"]
