"""Links to set a password, sent by mail."""

import re
from contextlib import closing

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR, session_caller, token_caller
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.faulty_relay import CUT, faulty_relay
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import UNUSED_RELAY, close_senders, mails, pass_time, send_all
from tests.support.servers.control_planes import Deployment
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.domain.models.users import UserChanges
from anyscale.errors import LinkInvalid, LinkRefused
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.link_secrets import secret_of
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.time_units import MINUTE_MS

CLIENT = ClientInfo("192.0.2.1", "Firefox")


def user_ids(control_plane: ControlPlane, *names: str) -> list[str]:
    found = control_plane.users.find([f"{name}@example.com" for name in names])
    return [user.user_id for user in found if user]


def request_links(control_plane: ControlPlane, *names: str) -> None:
    create_accounts(control_plane, *names, password=None)
    control_plane.links.mail(OPERATOR, user_ids(control_plane, *names))


def set_password(control_plane: ControlPlane, secret: str) -> None:
    control_plane.password_changes.by_link(secret, NEW_PASSWORD, CLIENT)


@pytest.mark.both_stores
def test_a_link_arrives_works_once_and_leaves_nothing_in_the_outbox(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    send_all(control_plane)
    [mail] = relay.received
    assert mail.recipients == ["jane@example.com"]
    set_password(control_plane, mail.code)
    with pytest.raises(LinkInvalid):
        set_password(control_plane, mail.code)
    assert mails(control_plane) == []


def test_a_request_of_links_is_in_the_audit_log_for_each_account(
    control_plane: ControlPlane,
) -> None:
    request_links(control_plane, "jane", "joe")
    newest = control_plane.audit_log.list(0, 2, newest_first=True)
    assert {(one.event, one.subject) for one in newest} == {
        ("links.mail_requested", user_id) for user_id in user_ids(control_plane, "jane", "joe")
    }


def test_the_link_and_its_code_stand_on_lines_of_their_own(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    send_all(control_plane)
    [mail] = relay.received
    link = r"^https://accounts\.example\.com/set-password#(mrl_[A-Za-z0-9]{43})$(?s:.*)^\1$"
    assert re.search(link, mail.text, re.MULTILINE)
    assert "mrl_" not in mail.message.as_string().partition("\n\n")[0]


@pytest.mark.parametrize("stage", ["on_recipient", "on_data"])
@pytest.mark.parametrize("reply", ["550 no", "450 later"])
def test_a_mail_that_is_not_delivered_replaces_no_link(
    control_plane: ControlPlane, relay: TestRelay, stage: str, reply: str
) -> None:
    create_accounts(control_plane, "jane", password=None)
    [jane] = user_ids(control_plane, "jane")
    [link] = control_plane.links.create(OPERATOR, [jane])
    control_plane.links.mail(OPERATOR, [jane])
    codes = []

    def answer(text: str) -> str:
        codes.append(secret_of(text))
        return reply

    setattr(relay, stage, answer)
    send_all(control_plane)
    assert control_plane.links.unused([jane]).count == 1
    for code in filter(None, codes):  # the relay has seen it, and it is nobody's
        with pytest.raises(LinkInvalid):
            control_plane.password_changes.link_account(code)
    set_password(control_plane, secret_of(link.url))


@pytest.mark.both_stores
def test_a_mail_that_is_delivered_replaces_the_link_and_no_link_of_another_kind(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_accounts(control_plane, "jane", password=None)
    [jane] = user_ids(control_plane, "jane")
    [link] = control_plane.links.create(OPERATOR, [jane])
    control_plane.password_resets.request("jane@example.com", "192.0.2.1")
    control_plane.links.mail(OPERATOR, [jane])
    send_all(control_plane)
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.link_account(secret_of(link.url))
    for mail in relay.received:
        control_plane.password_changes.link_account(mail.code)
    assert len(relay.received) == 2


def test_a_link_works_whose_mail_has_arrived_though_the_reply_was_lost(
    store_deployment: Deployment,
) -> None:
    with faulty_relay() as relay:
        mail = structs.replace(UNUSED_RELAY, port=relay.port, per_minute=60_000)
        settings = structs.replace(store_deployment.settings(), mail=mail)
        with closing(cheap_control_plane(settings)) as control_plane:
            create_accounts(control_plane, "jane", password=None)
            [jane] = user_ids(control_plane, "jane")
            [link] = control_plane.links.create(OPERATOR, [jane])
            control_plane.links.mail(OPERATOR, [jane])
            relay.faults = {"end of data": CUT}
            send_all(control_plane)
            [arrived] = relay.accepted
            relay.faults = {"RCPT": CUT}  # another attempt does not arrive
            pass_time(control_plane, MINUTE_MS)
            send_all(control_plane)
            for code in (secret_of(link.url), arrived.code):
                control_plane.password_changes.link_account(code)
            relay.faults = {}
            pass_time(control_plane, 2 * MINUTE_MS)
            send_all(control_plane)
            for code in (secret_of(link.url), arrived.code):
                with pytest.raises(LinkInvalid):
                    control_plane.password_changes.link_account(code)
            set_password(control_plane, relay.accepted[1].code)
            close_senders(control_plane)


def test_the_newest_of_several_mails_has_the_link_that_works(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    send_all(control_plane)
    control_plane.links.mail(OPERATOR, user_ids(control_plane, "jane"))
    send_all(control_plane)
    first, second = (mail.code for mail in relay.received)
    with pytest.raises(LinkInvalid):
        set_password(control_plane, first)
    set_password(control_plane, second)


@pytest.mark.both_stores
def test_a_mail_that_is_requested_twice_before_it_is_sent_is_sent_once(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane", "joe")
    control_plane.links.mail(OPERATOR, user_ids(control_plane, "jane"))
    send_all(control_plane)
    assert sorted(mail.recipients[0][:4] for mail in relay.received) == ["jane", "joe@"]


def test_nothing_secret_is_stored_before_and_after_a_mail_is_sent(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane", "joe")
    send_all(control_plane, most=1_000)
    secrets = [mail.code for mail in relay.received]
    control_plane.store.close()
    path = control_plane.settings.database
    assert not isinstance(path, str)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())
    assert b"jane@example.com" in content
    assert not any(secret.encode() in content for secret in secrets)


@pytest.mark.both_stores
@pytest.mark.parametrize("ending", ["suspend", "delete", "set_role"])
def test_no_mail_is_sent_after_its_account_was_changed_so_that_links_end(
    control_plane: ControlPlane, relay: TestRelay, ending: str
) -> None:
    request_links(control_plane, "jane", "joe")
    jane = user_ids(control_plane, "jane")[0]
    if ending == "set_role":
        control_plane.lifecycle.set_role(OPERATOR, jane, "owner")
    else:
        getattr(control_plane.lifecycle, ending)(OPERATOR, jane)
    send_all(control_plane)
    subjects = [mail.subject for mail in relay.to("jane@example.com")]
    assert "Set the password of your account" not in subjects
    assert len(relay.to("joe@example.com")) == 1


def test_the_link_of_a_mail_that_is_on_its_way_dies_with_the_suspension(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")

    def suspend(_: str) -> None:
        control_plane.lifecycle.suspend(OPERATOR, user_ids(control_plane, "jane")[0])

    relay.on_data = suspend  # while the server waits for the reply
    send_all(control_plane)
    [mail] = relay.received
    control_plane.lifecycle.restore(OPERATOR, user_ids(control_plane, "jane")[0])
    with pytest.raises(LinkInvalid):
        set_password(control_plane, mail.code)
    assert mails(control_plane) == []


def test_a_suspended_account_gets_no_link(control_plane: ControlPlane) -> None:
    create_accounts(control_plane, "jane")
    [jane] = user_ids(control_plane, "jane")
    control_plane.lifecycle.suspend(OPERATOR, jane)
    with pytest.raises(LinkRefused, match="suspended"):
        control_plane.links.mail(OPERATOR, [jane])
    assert mails(control_plane) == []


def test_a_mail_is_not_sent_after_its_account_got_a_link_otherwise(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    [link] = control_plane.links.create(OPERATOR, user_ids(control_plane, "jane"))
    send_all(control_plane)
    assert relay.received == []
    set_password(control_plane, secret_of(link.url))


def test_a_mail_goes_to_the_email_that_the_account_has_when_it_is_sent(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    [jane] = user_ids(control_plane, "jane")
    control_plane.updates.update(OPERATOR, jane, UserChanges(email="j.doe@example.com"))
    send_all(control_plane)
    addresses = [mail.recipients[0] for mail in relay.received if mail.code]
    assert addresses == ["j.doe@example.com"]


def test_the_link_that_a_changed_email_has_received_is_dead(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    request_links(control_plane, "jane")
    send_all(control_plane)
    [jane] = user_ids(control_plane, "jane")
    control_plane.updates.update(OPERATOR, jane, UserChanges(email="j.doe@example.com"))
    with pytest.raises(LinkInvalid):
        set_password(control_plane, relay.received[0].code)


def test_links_that_a_token_requested_are_not_sent_after_it_was_revoked(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_accounts(control_plane, "jane", "joe", password=None)
    jane, joe = user_ids(control_plane, "jane", "joe")
    control_plane.links.mail(token_caller(control_plane, "laptop"), [jane])
    control_plane.links.mail(OPERATOR, [joe])
    control_plane.tokens.revoke(OPERATOR, "laptop")
    send_all(control_plane)
    assert [mail.recipients for mail in relay.received] == [["joe@example.com"]]


def test_links_that_an_owner_requested_are_not_sent_after_the_role_has_ended(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_accounts(control_plane, "root", "boss", "joe")
    root, boss, joe = user_ids(control_plane, "root", "boss", "joe")
    control_plane.lifecycle.set_role(OPERATOR, root, "owner")
    control_plane.lifecycle.set_role(OPERATOR, boss, "owner")
    control_plane.links.mail(session_caller(control_plane, boss), [joe])
    control_plane.lifecycle.set_role(OPERATOR, boss, "collaborator")
    send_all(control_plane)
    assert relay.to("joe@example.com") == []
