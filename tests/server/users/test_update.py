"""Correcting the fields of an account: all of a change or nothing, and once in the audit log."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier, Event
from typing import Any

import pytest
from msgspec import structs
from tests.server.users.test_lifecycle import made, owners, sessions
from tests.support.callers import OPERATOR, operator, personal_token_caller
from tests.support.servers.control_planes import Deployment
from tests.support.users import PASSWORD

from anyscale.domain.audit_chain import verify
from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Policy
from anyscale.errors import AnyscaleError, ConfigError, NotAuthenticated, NotFound, NotPermitted
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session
from anyscale.server.store.records.users import AccountRecord

ISSUER = "https://idp.example.com"


def account(plane: ControlPlane, user_id: str) -> AccountRecord:
    with plane.store.read() as tx:
        found = tx.accounts.get(user_id)
    assert found
    return found


def updates(plane: ControlPlane) -> list[tuple[str, str, dict[str, Any]]]:
    """Return actor, subject and data of the audit entries about updates."""
    entries = plane.audit_log.list(0, 1000)
    assert verify(entries).fault is None
    return [
        (entry.actor, entry.subject, json.loads(entry.data))
        for entry in entries
        if entry.event == "account.updated"
    ]


def signed_in(plane: ControlPlane, user_id: str, method: str) -> None:
    with plane.store.write() as tx:
        locked = lock_for_session(tx, user_id, ClientInfo("192.0.2.1", "a browser"))
        assert locked
        create_session(tx, method, locked)


def sso_user(plane: ControlPlane, name: str, password: str | None = None) -> str:
    """Create an SSO user who is linked to a subject, and has a session by each method."""
    (user_id,) = made(plane, name, password=password)
    plane.updates.update(user_id, UserChanges(is_sso_user=True), OPERATOR)
    with plane.store.write() as tx:
        assert tx.identities.link(ISSUER, name, user_id, 7)
    for method in ("sso", "link", "password"):
        signed_in(plane, user_id, method)
    return user_id


# What is changed


def test_the_fields_that_are_set_are_changed_and_no_others(plane: ControlPlane) -> None:
    jane, joe = made(plane, "jane", "joe")
    before, others = account(plane, jane), account(plane, joe)
    changes = {"name": "Janet", "lastname": "Doe", "title": "CTO", "is_sso_user": True}
    for field, value in changes.items():
        updated = plane.updates.update(jane, UserChanges(**{field: value}), OPERATOR)  # type: ignore[arg-type]  # one field of each type
        before = structs.replace(before, **{field: value})
        assert account(plane, jane) == before
        assert getattr(updated.user, field) == value
    assert plane.users.with_email("jane@example.com") == [updated.user]
    assert account(plane, joe) == others
    assert account(plane, jane).used_at is None  # a correction is no use of the account


def test_last_name_and_title_can_be_cleared_and_emptied(plane: ControlPlane) -> None:
    (jane,) = made(plane, "jane")
    for value in ("Doe", "", None):
        updated = plane.updates.update(jane, UserChanges(lastname=value, title=value), OPERATOR)
        assert (updated.user.lastname, updated.user.title) == (value, value)
        assert (account(plane, jane).lastname, account(plane, jane).title) == (value, value)


def test_an_account_is_found_by_its_new_name_and_not_by_its_old_one(plane: ControlPlane) -> None:
    (jane,) = made(plane, "jane")
    plane.updates.update(jane, UserChanges(name="Große"), OPERATOR)

    def found(name: str) -> list[str]:
        users = plane.users.page(email="", name=name, after="", limit=9)
        return [user.user_id for user in users]

    assert (found("GROSSE"), found("jane")) == ([jane], [])
    assert [user.user_id for user in plane.users.with_name("Große")] == [jane]


def test_a_suspended_account_can_be_corrected(plane: ControlPlane) -> None:
    (jane,) = made(plane, "jane")
    plane.lifecycle.suspend(jane, OPERATOR)
    updated = plane.updates.update(jane, UserChanges(title="CTO"), OPERATOR)
    assert updated.user.title == "CTO"
    assert updated.user.suspended_at


def test_the_result_tells_whether_the_account_has_a_password(plane: ControlPlane) -> None:
    changes = UserChanges(title="CTO")
    (jane,), (joe,) = made(plane, "jane", password=PASSWORD), made(plane, "joe")
    # Its password is hashed by the batch.
    assert plane.updates.update(jane, changes, OPERATOR).has_password
    assert not plane.updates.update(joe, changes, OPERATOR).has_password


# The audit log


def test_an_update_is_one_audit_entry_that_names_the_fields_and_has_no_texts(
    plane: ControlPlane,
) -> None:
    jane, joe = owners(plane, "jane", "joe")
    caller = personal_token_caller(plane, joe)
    changes = UserChanges(name="Janet", title="Secretary of Nothing", is_sso_user=True)
    plane.updates.update(jane, changes, caller)
    plane.updates.update(jane, UserChanges(name="Janet", title=None), OPERATOR)
    assert updates(plane) == [
        (f"user:{joe}", jane, {"fields": ["is_sso_user", "name", "title"], "is_sso_user": True}),
        (OPERATOR.actor, jane, {"fields": ["title"]}),
    ]
    trail = str(plane.audit_log.list(0, 1000))
    assert "Janet" not in trail
    assert "Secretary" not in trail
    assert "@" not in trail


def test_a_repeated_update_changes_nothing_and_adds_no_audit_entry(plane: ControlPlane) -> None:
    jane = sso_user(plane, "jane")
    for changes in (
        UserChanges(name="Janet", lastname="Doe", title="", is_sso_user=False),
        UserChanges(lastname=None, is_sso_user=True),
    ):
        first = plane.updates.update(jane, changes, OPERATOR)
        before, noted = account(plane, jane), plane.audit_log.list(0, 1000)
        assert plane.updates.update(jane, changes, OPERATOR) == first
        assert account(plane, jane) == before
        assert plane.audit_log.list(0, 1000) == noted


# SSO


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_an_account_that_is_no_sso_user_any_more_is_unlinked_and_its_sso_sessions_end(
    plane: ControlPlane, password: str | None
) -> None:
    jane, joe = sso_user(plane, "jane", password), sso_user(plane, "joe")

    plane.updates.update(jane, UserChanges(is_sso_user=False), OPERATOR)

    assert not account(plane, jane).is_sso_user
    assert {session.auth_method for session in sessions(plane, jane)} == {"link", "password"}
    assert len(sessions(plane, joe)) == 3
    with plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") is None
        assert tx.identities.find(ISSUER, "joe") == joe


def test_another_update_leaves_the_link_and_the_sessions(plane: ControlPlane) -> None:
    jane = sso_user(plane, "jane")
    plane.updates.update(jane, UserChanges(title="CTO", is_sso_user=True), OPERATOR)
    assert len(sessions(plane, jane)) == 3
    with plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") == jane


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "there is nothing to change: give at least one of name, lastname, title, is_sso_user"),
        ({"name": ""}, "name: is blank"),
        ({"name": " \u3000"}, "name: is blank"),
        ({"name": "x" * 257}, "name: has 257 characters; 256 are allowed"),
        ({"lastname": "x" * 257}, "lastname: has 257 characters"),
        ({"title": "x" * 257}, "title: has 257 characters"),
        (
            {"name": "Ja\0ne"},
            r"name: has the invisible character U\+0000 at character 3: remove it",
        ),
        ({"lastname": "D\u202eoe"}, r"lastname: has the invisible character U\+202E"),
        ({"title": "a\nb"}, "title: has a line break"),
        ({"title": "\udcff"}, r"title: has the invisible character U\+DCFF"),
        ({"name": " ", "title": "\t"}, "name: is blank: every user has a name; title: has a tab"),
    ],
)
def test_values_are_checked_by_the_rules_of_a_batch(
    plane: ControlPlane, changes: dict[str, Any], message: str
) -> None:
    (jane,) = made(plane, "jane")
    before = account(plane, jane)
    with pytest.raises(ConfigError, match=message):
        plane.updates.update(jane, UserChanges(**changes), OPERATOR)
    assert account(plane, jane) == before
    assert updates(plane) == []


def test_where_sso_is_the_only_sign_in_method_every_account_stays_an_sso_user(
    store_deployment: Deployment,
) -> None:
    with closing(store_deployment.control_plane()) as plane:
        jane = sso_user(plane, "jane")
    with closing(store_deployment.control_plane(Policy(sso_only=True))) as plane:
        with pytest.raises(ConfigError, match="is_sso_user: must be true: everybody here signs in"):
            plane.updates.update(jane, UserChanges(is_sso_user=False), OPERATOR)
        plane.updates.update(jane, UserChanges(title="CTO"), OPERATOR)
        assert account(plane, jane).is_sso_user


def test_only_a_current_owner_may_update_an_existing_account(plane: ControlPlane) -> None:
    changes, (jane, joe, _) = UserChanges(title="CTO"), owners(plane, "jane", "joe", "carl")
    demoted, suspended = personal_token_caller(plane, jane), personal_token_caller(plane, joe)
    (target,) = made(plane, "target")
    plane.lifecycle.set_role(jane, "collaborator", OPERATOR)
    plane.lifecycle.suspend(joe, OPERATOR)
    for caller, refusal in ((demoted, NotPermitted), (suspended, NotAuthenticated)):
        with pytest.raises(refusal):
            plane.updates.update(target, changes, caller)
    batch = plane.batches.open("key", "fail", OPERATOR)
    for user_id in ("usr_none", "", batch.batch_id.replace("bat_", "usr_") + "00000000"):
        with pytest.raises(NotFound, match="there is no user"):
            plane.updates.update(user_id, changes, OPERATOR)
    assert updates(plane) == []
    assert account(plane, target).title is None


# At once with another change


def test_of_two_updates_of_different_fields_at_once_none_is_lost(plane: ControlPlane) -> None:
    both = owners(plane, "a", "b")
    callers = [personal_token_caller(plane, one) for one in both]
    changes = [UserChanges(title="CTO"), UserChanges(lastname="Doe")]
    for name in map(str, range(6)):
        (user_id,) = made(plane, f"u{name}")
        start = Barrier(2)

        def act(one: int) -> None:
            start.wait(20)  # noqa: B023 - it is run within this round
            plane.updates.update(user_id, changes[one], callers[one])  # noqa: B023 - it is run within this round

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, range(2)))
        found = account(plane, user_id)
        assert (found.title, found.lastname) == ("CTO", "Doe")
        fields = [data["fields"] for _, subject, data in updates(plane) if subject == user_id]
        assert sorted(fields) == [["lastname"], ["title"]]


def test_two_owners_can_update_each_other_at_once(plane: ControlPlane) -> None:
    both = owners(plane, "a", "b")
    callers = [personal_token_caller(plane, one) for one in both]
    for number in range(6):
        start = Barrier(2)

        def act(one: int) -> None:
            start.wait(20)  # noqa: B023 - it is run within this round
            changes = UserChanges(title=f"title {number}")  # noqa: B023 - it is run within this round
            plane.updates.update(both[1 - one], changes, callers[one])

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(act, range(2)))
        assert {account(plane, one).title for one in both} == {f"title {number}"}


@pytest.mark.parametrize("change", ["suspend", "delete"])
def test_an_update_that_waited_for_another_change_sees_it(plane: ControlPlane, change: str) -> None:
    (jane,) = made(plane, "jane")
    begun = Event()

    def update() -> AnyscaleError | None:
        begun.set()
        try:
            plane.updates.update(jane, UserChanges(title="CTO"), OPERATOR)
        except AnyscaleError as error:
            return error
        return None

    with ThreadPoolExecutor(1) as pool:
        with plane.store.write() as tx:
            tx.accounts.lock([jane])
            updating = pool.submit(update)
            begun.wait(20)
            if change == "delete":
                tx.accounts.delete(jane)
            else:
                tx.accounts.set_suspended(jane, 7)
        error = updating.result(20)
    if change == "delete":
        assert isinstance(error, NotFound)
        assert updates(plane) == []
    else:
        assert error is None
        assert (account(plane, jane).suspended_at, account(plane, jane).title) == (7, "CTO")


def test_an_update_that_fails_half_way_changes_nothing(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = sso_user(plane, "jane")
    before = account(plane, jane)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anyscale.server.core.users.update.append_entry", fail)
    with pytest.raises(KeyboardInterrupt):
        plane.updates.update(jane, UserChanges(name="Janet", is_sso_user=False), OPERATOR)
    assert account(plane, jane) == before
    assert len(sessions(plane, jane)) == 3
    with plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") == jane


def test_an_audit_actor_is_the_caller(plane: ControlPlane) -> None:
    (jane,) = made(plane, "jane")
    plane.updates.update(jane, UserChanges(title="CTO"), operator("ann"))
    assert [actor for actor, _, _ in updates(plane)] == ["local:ann"]
