"""Accounts are found by many emails at once: each in its place, in any spelling."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from msgspec import json
from msgspec.structs import replace
from tests.support.callers import OPERATOR, operator
from tests.support.servers.control_planes import Deployment
from tests.support.users import checked_user, find_accounts

from anyscale.domain.models.users import UserChanges
from anyscale.server.control_plane import ControlPlane
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.sql.users import Users
from anyscale.user.models import User

EMAILS = ["Jane@Example.com", "straße@example.com", "joe@münchen.example"]


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as control_plane:
        people = [
            replace(
                checked_user(email, name=f"User {at}"),
                lastname=f"Lastname {at}",
                title=f"Title {at}",
                external_id=f"P{at}",
                is_sso_user=at > 0,
            )
            for at, email in enumerate(EMAILS)
        ]
        control_plane.batches.create(operator("jane"), "key", people, "fail")
        yield control_plane


def emails_of(found: Sequence[User | None]) -> list[str | None]:
    return [user.email if user else None for user in found]


def test_each_account_is_in_the_place_of_its_email(control_plane: ControlPlane) -> None:
    emails = [EMAILS[2], "nobody@example.com", EMAILS[0], EMAILS[1], EMAILS[0]]
    expected = [EMAILS[2], None, EMAILS[0], EMAILS[1], EMAILS[0]]
    assert emails_of(control_plane.users.find(emails)) == expected


@pytest.mark.parametrize(
    ("spelling", "email"),
    [
        ("JANE@example.COM", EMAILS[0]),
        ("STRAßE@example.com", EMAILS[1]),
        ("joe@xn--mnchen-3ya.example", EMAILS[2]),
        ("JOE@XN--MNCHEN-3YA.EXAMPLE", EMAILS[2]),
    ],
)
def test_an_account_is_found_by_any_spelling_of_its_email(
    control_plane: ControlPlane, spelling: str, email: str
) -> None:
    assert emails_of(control_plane.users.find([spelling])) == [email]


@pytest.mark.parametrize(
    "text", ["", "jane", "jane@example.com ", "jane@example.com\0", "é", "strasse@example.com"]
)
def test_a_text_that_is_not_the_email_of_an_account_finds_none(
    control_plane: ControlPlane, text: str
) -> None:
    assert control_plane.users.find([text, EMAILS[0]])[0] is None


def test_a_found_account_is_the_same_as_in_a_list(control_plane: ControlPlane) -> None:
    (suspended,) = control_plane.users.find(EMAILS[:1])
    assert suspended
    control_plane.lifecycle.suspend(operator("jane"), suspended.user_id)
    found = control_plane.users.find(EMAILS)
    listed = find_accounts(control_plane)
    assert json.encode(found) == json.encode(listed)


@pytest.mark.both_stores
def test_emails_and_external_ids_are_looked_up_at_one_moment(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jane,) = control_plane.users.find(EMAILS[:1])
    assert jane
    look_up = Users.list_with_emails

    def look_up_and_change(users: Users, email_keys: Sequence[str]) -> Sequence[UserRecord]:
        found = look_up(users, email_keys)
        control_plane.updates.update(OPERATOR, jane.user_id, UserChanges(external_id="new"))
        return found

    monkeypatch.setattr(Users, "list_with_emails", look_up_and_change)
    by_email, by_external_id = control_plane.users.find(EMAILS[:1], ["P0"])

    assert by_email == by_external_id == jane
