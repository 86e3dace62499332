"""External ids of accounts: unique, found by searches, and unknown to applications."""

from typing import Any

import pytest
from msgspec import structs
from tests.server.users.test_update import account
from tests.support.callers import OPERATOR
from tests.support.users import checked_user, find_accounts

from anyscale.domain.models.users import UserChanges
from anyscale.domain.user_query import UserQuery
from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused, ExternalIdTaken
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.openid.claims import user_claims


def user(name: str, external_id: str | None = None) -> CheckedUser:
    return structs.replace(checked_user(f"{name}@example.com"), external_id=external_id)


def create(control_plane: ControlPlane, *users: CheckedUser, **options: Any) -> list[str]:
    """Create a batch; return the ids of its accounts."""
    key = "-".join(user.email for user in users)
    if_exists = options.get("if_exists", "fail")
    return [
        one.user_id
        for one in control_plane.batches.create(OPERATOR, key, list(users), if_exists).users
    ]


def number(control_plane: ControlPlane, user_id: str, external_id: str | None) -> str | None:
    changes = UserChanges(external_id=external_id)
    return control_plane.updates.update(OPERATOR, user_id, changes).user.external_id


def test_a_taken_external_id_is_a_problem_of_a_batch(control_plane: ControlPlane) -> None:
    create(control_plane, user("ann", "1"), user("ben", "2"))
    opened = control_plane.batches.open(OPERATOR, "open", "fail")
    control_plane.batches.reserve(OPERATOR, opened.batch_id, 0, [user("reserved", "3")])
    users = [
        *(user("c", "1"), user("ann", "9"), user("d", "3"), user("e", "4"), user("f", "4")),
        *(user("ben", "1"), user("g", "01"), user("h", None)),
    ]
    with pytest.raises(BatchRefused) as refused:
        create(control_plane, *users)
    assert [(one.index, one.code) for one in refused.value.problems] == [
        (0, "external_id_exists"),
        (1, "email_exists"),
        (2, "external_id_reserved"),
        (4, "external_id_duplicate"),
        (5, "email_exists"),
    ]
    conflicts = control_plane.batches.look_up(users, 0)
    assert [one.position for one in conflicts] == [0, 1, 2, 5]
    assert [user.email for user in find_accounts(control_plane)] == [
        "ann@example.com",
        "ben@example.com",
    ]


def test_a_user_whose_external_id_has_an_account_is_skipped(control_plane: ControlPlane) -> None:
    (ann,) = create(control_plane, user("ann", "1"))
    control_plane.lifecycle.suspend(OPERATOR, ann)
    created = control_plane.batches.create(
        OPERATOR, "skip", [user("ann.miller", "1"), user("ben", "2")], "skip"
    )
    assert [one.email for one in created.users] == ["ben@example.com"]
    assert [(one.position, one.email) for one in created.skipped] == [(0, "ann.miller@example.com")]
    assert control_plane.batches.show(OPERATOR, created.batch.batch_id).skipped_suspended == 1


def test_an_old_file_skips_who_has_another_email_by_now(control_plane: ControlPlane) -> None:
    (ann,) = create(control_plane, user("ann", "1"))
    control_plane.updates.update(OPERATOR, ann, UserChanges(email="ann.roe@example.com"))
    created = control_plane.batches.create(OPERATOR, "old", [user("ann", "1")], "skip")
    assert (created.users, len(created.skipped)) == ([], 1)
    with pytest.raises(BatchRefused) as refused:  # not by the number, it may be anybody
        control_plane.batches.create(OPERATOR, "new", [user("ann")], "skip")
    assert [one.code for one in refused.value.problems] == ["email_freed"]


def test_an_account_gets_only_a_free_external_id(control_plane: ControlPlane) -> None:
    ann, ben = create(control_plane, user("ann", "1"), user("ben"))
    with pytest.raises(ExternalIdTaken, match=r"'1' is the external_id of ann@example\.com"):
        number(control_plane, ben, "1")
    opened = control_plane.batches.open(OPERATOR, "open", "fail")
    control_plane.batches.reserve(OPERATOR, opened.batch_id, 0, [user("reserved", "3")])
    with pytest.raises(ExternalIdTaken, match="'3' is reserved by the unfinished batch bat_"):
        number(control_plane, ben, "3")
    control_plane.batches.drop(OPERATOR, opened.batch_id)
    assert number(control_plane, ben, "3") == "3"
    assert number(control_plane, ann, None) is None
    assert number(control_plane, ben, "1") == "1"
    assert number(control_plane, ann, "e\u0301") == account(control_plane, ann).external_id == "é"
    with pytest.raises(ExternalIdTaken):
        number(control_plane, ben, "é")


def test_an_account_is_found_by_its_external_id(control_plane: ControlPlane) -> None:
    _, ben, cy = create(control_plane, user("ann7"), user("ben", "7"), user("cy", "é"))
    found = find_accounts(control_plane, search="7")
    assert [one.email for one in found] == ["ben@example.com", "ann7@example.com"]
    (only,) = find_accounts(control_plane, search=" e\u0301 ")
    assert only.user_id == cy
    assert control_plane.users.find_id("7") == ben
    assert control_plane.users.find_id("") is None


def test_an_external_id_that_is_an_email_finds_each_account_once_after_that_of_the_email(
    control_plane: ControlPlane,
) -> None:
    create(
        control_plane, user("ann", "ann@example.com"), user("ben"), user("cy", "ben@example.com")
    )
    for name, expected in (("ann", ["ann"]), ("ben", ["ben", "cy"])):
        query, found, cursor = UserQuery(search=f"{name}@example.com"), [], ""
        for _ in range(9):
            page = control_plane.listing.page(query, cursor, 1)
            found += [one.email.partition("@")[0] for one in page.users]
            if page.cursor is None:
                break
            cursor = page.cursor
        assert found == expected


def test_applications_do_not_receive_the_external_id(control_plane: ControlPlane) -> None:
    (ann,) = create(control_plane, user("ann", "0042"))
    claims = user_claims(account(control_plane, ann), "openid profile email groups")
    assert claims["email"] == "ann@example.com"
    assert "0042" not in repr(claims)
