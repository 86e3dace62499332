"""Correcting the fields of an account: all of a change or nothing, and once in the audit log."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from threading import Event
from typing import Any

import pytest
from msgspec import structs
from tests.server.users.test_lifecycle import create_users, owners, sessions
from tests.support.at_once import at_once
from tests.support.callers import OPERATOR, operator, personal_token_caller
from tests.support.servers.control_planes import Deployment
from tests.support.users import PASSWORD, find_accounts

from anyscale.domain.audit_chain import verify
from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Policy
from anyscale.errors import AnyscaleError, ConfigError, NotAuthenticated, NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session
from anyscale.server.store.records.users import AccountRecord

ISSUER = "https://idp.example.com"


def account(control_plane: ControlPlane, user_id: str) -> AccountRecord:
    with control_plane.store.read() as tx:
        found = tx.accounts.get(user_id)
    assert found
    return found


def updates(control_plane: ControlPlane) -> list[tuple[str, str, dict[str, Any]]]:
    """Return actor, subject and data of the audit entries about updates."""
    entries = control_plane.audit_log.list(0, 1000)
    assert verify(entries).fault is None
    return [
        (entry.actor, entry.subject, json.loads(entry.data))
        for entry in entries
        if entry.event == "account.updated"
    ]


def signed_in(control_plane: ControlPlane, user_id: str, method: str) -> None:
    with control_plane.store.write() as tx:
        locked = lock_for_session(tx, user_id, ClientInfo("192.0.2.1", "a browser"))
        assert locked
        create_session(tx, locked, Shown(method, "", locked.at), None)


def sso_user(control_plane: ControlPlane, name: str, password: str | None = None) -> str:
    """Create an SSO user who is linked to a subject, and has a session by each method."""
    (user_id,) = create_users(control_plane, name, password=password)
    control_plane.updates.update(OPERATOR, user_id, UserChanges(is_sso_user=True))
    with control_plane.store.write() as tx:
        assert tx.identities.link(ISSUER, name, user_id, 7)
    for method in ("sso", "link", "password"):
        signed_in(control_plane, user_id, method)
    return user_id


# What is changed


def test_the_fields_that_are_set_are_changed_and_no_others(control_plane: ControlPlane) -> None:
    jane, joe = create_users(control_plane, "jane", "joe")
    before, others = account(control_plane, jane), account(control_plane, joe)
    changes = {"name": "Janet", "lastname": "Doe", "title": "CTO", "is_sso_user": True}
    for field, value in changes.items():
        updated = control_plane.updates.update(OPERATOR, jane, UserChanges(**{field: value}))  # type: ignore[arg-type]  # one field of each type
        before = structs.replace(before, **{field: value})
        assert account(control_plane, jane) == before
        assert getattr(updated.user, field) == value
    assert find_accounts(control_plane, email="jane@example.com", exact=True) == [updated.user]
    assert account(control_plane, joe) == others
    assert account(control_plane, jane).used_at is None  # a correction is not a use of the account


def test_last_name_and_title_can_be_cleared_and_emptied(control_plane: ControlPlane) -> None:
    (jane,) = create_users(control_plane, "jane")
    for value in ("Doe", "", None):
        updated = control_plane.updates.update(
            OPERATOR, jane, UserChanges(lastname=value, title=value)
        )
        assert (updated.user.lastname, updated.user.title) == (value, value)
        assert (account(control_plane, jane).lastname, account(control_plane, jane).title) == (
            value,
            value,
        )


def test_an_account_is_found_by_its_new_name_and_not_by_its_old_one(
    control_plane: ControlPlane,
) -> None:
    (jane,) = create_users(control_plane, "jane")
    control_plane.updates.update(OPERATOR, jane, UserChanges(name="Große"))

    def found(name: str) -> list[str]:
        users = find_accounts(control_plane, name=name)
        return [user.user_id for user in users]

    assert (found("GROSSE"), found("jane")) == ([jane], [])
    assert [user.user_id for user in find_accounts(control_plane, name="Große", exact=True)] == [
        jane
    ]


def test_a_suspended_account_can_be_corrected(control_plane: ControlPlane) -> None:
    (jane,) = create_users(control_plane, "jane")
    control_plane.lifecycle.suspend(OPERATOR, jane)
    updated = control_plane.updates.update(OPERATOR, jane, UserChanges(title="CTO"))
    assert updated.user.title == "CTO"
    assert updated.user.suspended_at


def test_the_result_tells_whether_the_account_has_a_password(control_plane: ControlPlane) -> None:
    changes = UserChanges(title="CTO")
    (jane,), (joe,) = (
        create_users(control_plane, "jane", password=PASSWORD),
        create_users(control_plane, "joe"),
    )
    # Its password is hashed by the batch.
    assert control_plane.updates.update(OPERATOR, jane, changes).has_password
    assert not control_plane.updates.update(OPERATOR, joe, changes).has_password


# The audit log


def test_an_update_is_one_audit_entry_that_names_the_fields_and_has_no_texts(
    control_plane: ControlPlane,
) -> None:
    jane, joe = owners(control_plane, "jane", "joe")
    caller = personal_token_caller(control_plane, joe)
    changes = UserChanges(name="Janet", title="Secretary of Nothing", is_sso_user=True)
    control_plane.updates.update(caller, jane, changes)
    control_plane.updates.update(OPERATOR, jane, UserChanges(name="Janet", title=None))
    assert updates(control_plane) == [
        (f"user:{joe}", jane, {"fields": ["is_sso_user", "name", "title"], "is_sso_user": True}),
        (OPERATOR.actor, jane, {"fields": ["title"]}),
    ]
    audit_entries = str(control_plane.audit_log.list(0, 1000))
    assert "Janet" not in audit_entries
    assert "Secretary" not in audit_entries
    assert "@" not in audit_entries


def test_a_repeated_update_changes_nothing_and_adds_no_audit_entry(
    control_plane: ControlPlane,
) -> None:
    jane = sso_user(control_plane, "jane")
    for changes in (
        UserChanges(name="Janet", lastname="Doe", title="", is_sso_user=False),
        UserChanges(lastname=None, is_sso_user=True),
    ):
        first = control_plane.updates.update(OPERATOR, jane, changes)
        before, noted = account(control_plane, jane), control_plane.audit_log.list(0, 1000)
        assert control_plane.updates.update(OPERATOR, jane, changes) == first
        assert account(control_plane, jane) == before
        assert control_plane.audit_log.list(0, 1000) == noted


# SSO


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_an_account_that_is_no_sso_user_any_more_is_unlinked_and_its_sso_sessions_end(
    control_plane: ControlPlane, password: str | None
) -> None:
    jane, joe = sso_user(control_plane, "jane", password), sso_user(control_plane, "joe")

    control_plane.updates.update(OPERATOR, jane, UserChanges(is_sso_user=False))

    assert not account(control_plane, jane).is_sso_user
    assert {session.auth_method for session in sessions(control_plane, jane)} == {
        "link",
        "password",
    }
    assert len(sessions(control_plane, joe)) == 3
    with control_plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") is None
        assert tx.identities.find(ISSUER, "joe") == joe


def test_another_update_leaves_the_link_and_the_sessions(control_plane: ControlPlane) -> None:
    jane = sso_user(control_plane, "jane")
    control_plane.updates.update(OPERATOR, jane, UserChanges(title="CTO", is_sso_user=True))
    assert len(sessions(control_plane, jane)) == 3
    with control_plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") == jane


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {},
            "there is nothing to change: give at least one of name, lastname, title, external_id",
        ),
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
    control_plane: ControlPlane, changes: dict[str, Any], message: str
) -> None:
    (jane,) = create_users(control_plane, "jane")
    before = account(control_plane, jane)
    with pytest.raises(ConfigError, match=message):
        control_plane.updates.update(OPERATOR, jane, UserChanges(**changes))
    assert account(control_plane, jane) == before
    assert updates(control_plane) == []


def test_where_sso_is_the_only_sign_in_method_every_account_stays_an_sso_user(
    store_deployment: Deployment,
) -> None:
    with closing(store_deployment.control_plane()) as control_plane:
        jane = sso_user(control_plane, "jane")
    with closing(store_deployment.control_plane(Policy(sso_only=True))) as control_plane:
        with pytest.raises(ConfigError, match="is_sso_user: must be true: everybody here signs in"):
            control_plane.updates.update(OPERATOR, jane, UserChanges(is_sso_user=False))
        control_plane.updates.update(OPERATOR, jane, UserChanges(title="CTO"))
        assert account(control_plane, jane).is_sso_user


def test_only_a_current_owner_may_update_an_existing_account(control_plane: ControlPlane) -> None:
    changes, (jane, joe, _) = UserChanges(title="CTO"), owners(control_plane, "jane", "joe", "carl")
    demoted, suspended = (
        personal_token_caller(control_plane, jane),
        personal_token_caller(control_plane, joe),
    )
    (target,) = create_users(control_plane, "target")
    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")
    control_plane.lifecycle.suspend(OPERATOR, joe)
    for caller, refusal in ((demoted, NotAuthenticated), (suspended, NotAuthenticated)):
        with pytest.raises(refusal):
            control_plane.updates.update(caller, target, changes)
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    for user_id in ("usr_none", "", batch.batch_id.replace("bat_", "usr_") + "00000000"):
        with pytest.raises(NotFound, match="there is no user"):
            control_plane.updates.update(OPERATOR, user_id, changes)
    assert updates(control_plane) == []
    assert account(control_plane, target).title is None


# At once with another change


@pytest.mark.both_stores
def test_of_two_updates_of_different_fields_at_once_none_is_lost(
    control_plane: ControlPlane,
) -> None:
    both = owners(control_plane, "a", "b")
    callers = [personal_token_caller(control_plane, one) for one in both]
    changes = [UserChanges(title="CTO"), UserChanges(lastname="Doe")]
    for name in map(str, range(6)):
        (user_id,) = create_users(control_plane, f"u{name}")
        update = control_plane.updates.update
        at_once([partial(update, callers[one], user_id, changes[one]) for one in range(2)])
        found = account(control_plane, user_id)
        assert (found.title, found.lastname) == ("CTO", "Doe")
        fields = [
            data["fields"] for _, subject, data in updates(control_plane) if subject == user_id
        ]
        assert sorted(fields) == [["lastname"], ["title"]]


@pytest.mark.both_stores
def test_two_owners_can_update_each_other_at_once(control_plane: ControlPlane) -> None:
    both = owners(control_plane, "a", "b")
    callers = [personal_token_caller(control_plane, one) for one in both]
    for number in range(6):
        changes, update = UserChanges(title=f"title {number}"), control_plane.updates.update
        at_once([partial(update, callers[one], both[1 - one], changes) for one in range(2)])
        assert {account(control_plane, one).title for one in both} == {f"title {number}"}


@pytest.mark.both_stores
@pytest.mark.parametrize("change", ["suspend", "delete"])
def test_an_update_that_waited_for_another_change_sees_it(
    control_plane: ControlPlane, change: str
) -> None:
    (jane,) = create_users(control_plane, "jane")
    started = Event()

    def update() -> AnyscaleError | None:
        started.set()
        try:
            control_plane.updates.update(OPERATOR, jane, UserChanges(title="CTO"))
        except AnyscaleError as error:
            return error
        return None

    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            tx.accounts.lock([jane])
            updating = pool.submit(update)
            started.wait(30)
            if change == "delete":
                tx.accounts.delete(jane)
            else:
                tx.accounts.set_suspended(jane, 7)
        error = updating.result(30)
    if change == "delete":
        assert isinstance(error, NotFound)
        assert updates(control_plane) == []
    else:
        assert error is None
        assert (account(control_plane, jane).suspended_at, account(control_plane, jane).title) == (
            7,
            "CTO",
        )


def test_an_update_that_fails_half_way_changes_nothing(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = sso_user(control_plane, "jane")
    before = account(control_plane, jane)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anyscale.server.core.accounts.update.append_entries", fail)
    with pytest.raises(KeyboardInterrupt):
        control_plane.updates.update(OPERATOR, jane, UserChanges(name="Janet", is_sso_user=False))
    assert account(control_plane, jane) == before
    assert len(sessions(control_plane, jane)) == 3
    with control_plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") == jane


def test_an_audit_actor_is_the_caller(control_plane: ControlPlane) -> None:
    (jane,) = create_users(control_plane, "jane")
    control_plane.updates.update(operator("ann"), jane, UserChanges(title="CTO"))
    assert [actor for actor, _, _ in updates(control_plane)] == ["local:ann"]
