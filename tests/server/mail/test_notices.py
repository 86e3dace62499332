"""Notices: mails without a link, about changes of an account."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import mails, send_all
from tests.support.servers.control_planes import Deployment
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.domain.models.users import UserChanges
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import ClientInfo

CLIENT = ClientInfo("192.0.2.1", "Firefox")


def create_jane(control_plane: ControlPlane, password: str | None = PASSWORD) -> str:
    create_accounts(control_plane, "jane", password=password)
    [user] = control_plane.users.with_emails(["jane@example.com"])
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
    control_plane.links.mail([jane], OPERATOR)
    send_all(control_plane)
    [mail] = relay.received
    control_plane.password_changes.by_link(mail.code, NEW_PASSWORD, CLIENT)
    assert mails(control_plane) == []


def test_a_changed_email_is_told_to_both_addresses(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    control_plane.updates.update(jane, UserChanges(email="j.doe@example.com"), OPERATOR)
    subject = "The email of your account was changed"
    assert sent(control_plane, relay) == [
        ("j.doe@example.com", subject),
        ("jane@example.com", subject),
    ]


def test_an_email_in_another_spelling_is_told_once(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    control_plane.updates.update(jane, UserChanges(email="Jane@example.com"), OPERATOR)
    assert [address for address, _ in sent(control_plane, relay)] == ["Jane@example.com"]


def test_a_new_owner_is_told_and_a_former_one_is_not(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    create_accounts(control_plane, "root")
    [root] = control_plane.users.with_emails(["root@example.com"])
    assert root
    control_plane.lifecycle.set_role(root.user_id, "owner", OPERATOR)
    control_plane.lifecycle.set_role(jane, "owner", OPERATOR)
    control_plane.lifecycle.set_role(jane, "collaborator", OPERATOR)
    subjects = [subject for address, subject in sent(control_plane, relay) if "jane" in address]
    assert subjects == ["Your account is an owner's now"]


def test_a_notice_comes_after_a_link_for_which_a_user_waits(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    change_password(control_plane, jane)
    control_plane.links.mail([jane], OPERATOR)
    send_all(control_plane)
    assert [bool(mail.code) for mail in relay.received] == [True, False]


@pytest.fixture
def without_relay(store_deployment: Deployment) -> Iterator[ControlPlane]:
    settings = structs.replace(store_deployment.settings(), mail=None)
    with closing(cheap_control_plane(settings)) as control_plane:
        yield control_plane


def test_without_a_relay_nothing_is_to_be_mailed(without_relay: ControlPlane) -> None:
    jane = create_jane(without_relay)
    change_password(without_relay, jane)
    without_relay.updates.update(jane, UserChanges(email="j.doe@example.com"), OPERATOR)
    without_relay.lifecycle.set_role(jane, "owner", OPERATOR)
    assert (mails(without_relay), without_relay.mail_sender) == ([], None)
