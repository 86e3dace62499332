"""Notices: mails without a link, about changes of an account."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import mails, send_all
from tests.support.second_factor.authenticator_apps import add_app
from tests.support.servers.control_planes import Deployment
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.domain.models.users import EmailChange, ExpectedUser, UserChanges
from anyscale.domain.times import from_milliseconds
from anyscale.errors import CodeRefused
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.mail.kinds import FACTOR_ADDED, FACTOR_REMOVED
from anyscale.server.core.second_factor.recovery_codes import (
    new_recovery_codes,
    recovery_code_hash,
)
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.records.factors import FactorRecord, FactorState
from anyscale.server.store.records.login import HalfSignInRecord

CLIENT = ClientInfo("192.0.2.1", "Firefox")


def create_jane(control_plane: ControlPlane, password: str | None = PASSWORD) -> str:
    create_accounts(control_plane, "jane", password=password)
    [user] = control_plane.users.find(["jane@example.com"])
    assert user
    return user.user_id


def change_password(control_plane: ControlPlane, user_id: str) -> None:
    caller = session_caller(control_plane, user_id)
    control_plane.password_changes.change_password(caller, PASSWORD, NEW_PASSWORD, CLIENT)


def sent(control_plane: ControlPlane, relay: TestRelay) -> list[tuple[str, str]]:
    send_all(control_plane)
    assert not any(mail.code for mail in relay.received)
    return sorted((mail.recipients[0], mail.subject) for mail in relay.received)


def test_a_changed_password_is_told(control_plane: ControlPlane, relay: TestRelay) -> None:
    change_password(control_plane, create_jane(control_plane))
    assert sent(control_plane, relay) == [("jane@example.com", "Your password was changed")]


def test_the_first_password_of_an_account_is_no_change(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane, password=None)
    control_plane.links.mail(OPERATOR, [jane])
    send_all(control_plane)
    [mail] = relay.received
    control_plane.password_changes.by_link(mail.code, NEW_PASSWORD, CLIENT)
    assert mails(control_plane) == []


def test_a_changed_email_is_told_to_both_addresses(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    control_plane.updates.update(OPERATOR, jane, UserChanges(email="j.doe@example.com"))
    subject = "The email of your account was changed"
    assert sent(control_plane, relay) == [
        ("j.doe@example.com", subject),
        ("jane@example.com", subject),
    ]


def test_an_email_in_another_spelling_is_told_once(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    control_plane.updates.update(OPERATOR, jane, UserChanges(email="Jane@example.com"))
    assert [address for address, _ in sent(control_plane, relay)] == ["Jane@example.com"]


def test_a_new_owner_is_told_and_a_former_one_is_not(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    create_accounts(control_plane, "root")
    [root] = control_plane.users.find(["root@example.com"])
    assert root
    control_plane.lifecycle.set_role(OPERATOR, root.user_id, "owner")
    control_plane.lifecycle.set_role(OPERATOR, jane, "owner")
    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")
    subjects = [subject for address, subject in sent(control_plane, relay) if "jane" in address]
    assert subjects == ["Your account is an owner's now"]


def begin_sign_in(control_plane: ControlPlane) -> HalfSignInRecord:
    """Show the password of an account that has a second factor."""
    login = control_plane.password_login
    half = login.login(login.prepare("jane@example.com", PASSWORD, CLIENT))
    assert isinstance(half, HalfSignIn)
    return control_plane.second_factor_login.pending(half.secret).half


def test_a_recovery_code_that_was_used_is_told(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane, code = create_jane(control_plane), new_recovery_codes()[0]
    add_app(control_plane, jane)
    code_hash = recovery_code_hash(code)
    assert code_hash
    with control_plane.store.write() as tx:
        tx.recovery_codes.replace(jane, [code_hash])
    half = begin_sign_in(control_plane)
    control_plane.second_factor_login.by_recovery_code(half, code, CLIENT)
    subject = "A recovery code of your account was used"
    assert sent(control_plane, relay) == [("jane@example.com", subject)]


@pytest.mark.parametrize(
    ("failures", "subject"),
    [
        (5, None),
        (6, "Somebody has entered wrong codes for your account"),
        (96, "Codes do not work for your account any more"),
    ],
)
def test_the_last_wrong_code_before_a_limit_is_told(
    control_plane: ControlPlane, relay: TestRelay, failures: int, subject: str | None
) -> None:
    jane = create_jane(control_plane)
    add_app(control_plane, jane)
    half = begin_sign_in(control_plane)
    with control_plane.store.write() as tx:
        counted = FactorState(
            user_id=jane, failures=failures, window_at=tx.now(), window_failures=failures % 90
        )
        tx.factor_states.save(counted)
    with pytest.raises(CodeRefused):
        control_plane.second_factor_login.by_code(half, "12345", CLIENT)
    expected = [("jane@example.com", subject)] if subject else []
    assert sent(control_plane, relay) == expected


def test_factors_that_an_owner_has_removed_are_told(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    add_app(control_plane, jane)
    control_plane.factor_removal.remove_all(OPERATOR, jane, "lost phone")
    control_plane.factor_removal.remove_all(OPERATOR, jane, "lost phone")
    subject = "A second factor of your account was removed"
    assert sent(control_plane, relay) == [("jane@example.com", subject)]


def test_notices_to_many_come_after_links_and_notices_to_one(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    create_accounts(control_plane, "ann", "joe")
    found = control_plane.users.find(["ann@example.com", "joe@example.com"])
    changes = [
        EmailChange(user.user_id, f"new.{user.email}", ExpectedUser(email=user.email))
        for user in found
        if user
    ]
    control_plane.updates.change_emails(OPERATOR, changes)
    change_password(control_plane, jane)
    control_plane.links.mail(OPERATOR, [jane])
    send_all(control_plane)
    to_jane = [mail.recipients == ["jane@example.com"] for mail in relay.received]
    assert to_jane == [True] * 2 + [False] * 4


def test_a_suspension_deletes_the_mails_to_the_account(control_plane: ControlPlane) -> None:
    jane = create_jane(control_plane)
    change_password(control_plane, jane)
    assert len(mails(control_plane)) == 1
    control_plane.lifecycle.suspend(OPERATOR, jane)
    assert mails(control_plane) == []


@pytest.mark.parametrize("has_link", [True, False])
def test_a_suspended_account_gets_no_mail_that_is_due_nevertheless(
    control_plane: ControlPlane, relay: TestRelay, *, has_link: bool
) -> None:
    jane = create_jane(control_plane)
    if has_link:
        control_plane.links.mail(OPERATOR, [jane])
    else:
        change_password(control_plane, jane)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update users set suspended_at = 1")
    send_all(control_plane)
    assert (relay.received, mails(control_plane), mails(control_plane, "failed")) == ([], [], [])
    with control_plane.store.read() as tx:
        assert tx.connection.column("select count(*) from links") == [0]


def added_on(milliseconds: int) -> str:
    at = from_milliseconds(milliseconds)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def test_two_changes_of_factors_that_become_one_mail_are_both_named(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    add_app(control_plane, jane)
    # No relay takes a mail while somebody else adds a passkey.
    with control_plane.store.write() as tx:
        at = tx.now()
        for number, days in enumerate((0, 1)):
            passkey = FactorRecord(
                factor_id=f"fac_z{number}",
                user_id=jane,
                kind="passkey",
                name="<b>Call 555",
                created_at=at,
                confirmed_at=at + days * DAY_MS,
                credential_id=bytes([number]),
            )
            assert tx.factors.add(passkey)
            control_plane.outbox.add_notice(tx, FACTOR_ADDED, jane, "user:jane")
    send_all(control_plane)
    [mail] = relay.received
    passkeys = [f"    a passkey, added on {added_on(at + days * DAY_MS)}\n" for days in (0, 1)]
    assert "".join(passkeys) in mail.text
    assert "    an app that shows codes, added on " in mail.text
    assert "555" not in mail.text
    with control_plane.store.write() as tx:
        control_plane.outbox.add_notice(tx, FACTOR_REMOVED, jane, "user:jane")
    send_all(control_plane)
    assert "    an app that shows codes, added on " in relay.received[-1].text
    control_plane.factor_removal.remove_all(OPERATOR, jane, "lost phone")
    send_all(control_plane)
    assert "that it has now:\n\n    none\n" in relay.received[-1].text


@pytest.fixture
def without_relay(store_deployment: Deployment) -> Iterator[ControlPlane]:
    settings = structs.replace(store_deployment.settings(), mail=None)
    with closing(cheap_control_plane(settings)) as control_plane:
        yield control_plane


def test_without_a_relay_nothing_is_to_be_mailed(without_relay: ControlPlane) -> None:
    jane = create_jane(without_relay)
    change_password(without_relay, jane)
    without_relay.updates.update(OPERATOR, jane, UserChanges(email="j.doe@example.com"))
    without_relay.lifecycle.set_role(OPERATOR, jane, "owner")
    assert (mails(without_relay), without_relay.mail_senders) == ([], [])
