"""Mails to many accounts: one row, from which the sender creates them a part at a time."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import mails, pass_time, send_all, sender_of
from tests.support.servers.control_planes import Deployment
from tests.support.users import NEW_PASSWORD, PASSWORD, checked_user, checked_users

from anyscale.errors import BatchGone, LinkInvalid, MailUnavailable, NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.link_secrets import secret_of
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.records.mail import MailingRecord
from anyscale.server.store.transaction import Transaction

NAMES = "abcdefg"


@pytest.fixture
def control_plane(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """A control plane whose sender creates two mails of a mailing at a time."""
    monkeypatch.setattr(sender_of(control_plane)._lane.source, "_most_created", 2)
    return control_plane


def open_batch(control_plane: ControlPlane, names: str = NAMES) -> str:
    """Open a batch, and reserve the emails of its users."""
    batch_id = control_plane.batches.open(OPERATOR, f"key-{names}", "fail").batch_id
    users = checked_users(*names)
    for number in range(0, len(names), 3):
        part = users[number : number + 3]
        control_plane.batches.reserve(OPERATOR, batch_id, number // 3, part)
    return batch_id


def publish(control_plane: ControlPlane, names: str = NAMES) -> str:
    """Publish a batch whose users get links by mail."""
    batch_id = open_batch(control_plane, names)
    control_plane.batches.publish(OPERATOR, batch_id, len(names), mail_links=True)
    return batch_id


def names_of(relay: TestRelay) -> str:
    return "".join(sorted(mail.recipients[0][0] for mail in relay.received))


@pytest.mark.both_stores
def test_each_user_of_a_batch_gets_a_link_that_works(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    batch_id = publish(control_plane)
    send_all(control_plane)
    assert names_of(relay) == NAMES
    client = ClientInfo("192.0.2.1", "Firefox")
    for mail in relay.received:
        control_plane.password_changes.by_link(mail.code, NEW_PASSWORD, client)
    [mailing] = control_plane.mail_queue.list_mailings(batch_id=batch_id)
    counts = mailing.state, mailing.total, mailing.due, mailing.sent, mailing.failed
    assert counts == ("sent", 7, 0, 7, 0)


def test_publishing_writes_one_row_however_many_users_there_are(
    control_plane: ControlPlane,
) -> None:
    batch_id = publish(control_plane)
    assert mails(control_plane) == []
    [mailing] = control_plane.mail_queue.list_mailings()
    assert (mailing.batch_id, mailing.state, mailing.due) == (batch_id, "sending", 7)


@pytest.mark.both_stores
def test_a_small_batch_mails_links_to_those_who_have_no_password_and_are_not_suspended(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    users = [checked_user("a@example.com"), checked_user("b@example.com", PASSWORD)]
    suspended = structs.replace(checked_user("c@example.com"), suspended=True)
    users.append(suspended)
    for _ in range(2):  # the second call is a repeated one
        control_plane.batches.create(
            OPERATOR, "key", users, "fail", [(1, PASSWORD)], mail_links=True
        )
    send_all(control_plane)
    assert names_of(relay) == "a"
    [mailing] = control_plane.mail_queue.list_mailings()
    assert (mailing.total, mailing.sent) == (1, 1)


def test_a_batch_that_is_dropped_mails_nobody(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    control_plane.batches.drop(OPERATOR, open_batch(control_plane))
    send_all(control_plane)
    assert (relay.received, control_plane.mail_queue.list_mailings()) == ([], [])


def test_a_batch_that_was_published_without_mails_gets_them_by_a_repeated_call_once(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    batch_id = open_batch(control_plane)
    control_plane.batches.publish(OPERATOR, batch_id, 7)
    for _ in range(2):
        control_plane.batches.publish(OPERATOR, batch_id, 7, mail_links=True)
        send_all(control_plane)
    assert names_of(relay) == NAMES


@pytest.mark.both_stores
def test_an_undo_ends_what_was_not_sent_and_the_links_that_were(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    batch_id = publish(control_plane)
    sender = sender_of(control_plane)
    while len(relay.received) < 3:
        sender.send_next()
    control_plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)
    send_all(control_plane)
    assert len(relay.received) == 3
    assert mails(control_plane) == []
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.link_account(relay.received[0].code)


def test_an_undo_that_keeps_all_accounts_ends_their_mails_too(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    batch_id = publish(control_plane)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update users set used_at = 1")
    control_plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)
    send_all(control_plane)
    assert relay.received == []


def test_a_mailing_that_is_stopped_sends_no_more_and_says_so_in_the_audit_log(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    batch_id = publish(control_plane)
    sender = sender_of(control_plane)
    while len(relay.received) < 3:
        sender.send_next()
    [stopped] = control_plane.mail_queue.stop(OPERATOR, batch_id)
    assert control_plane.mail_queue.stop(OPERATOR, batch_id) == []
    send_all(control_plane)
    [mailing] = control_plane.mail_queue.list_mailings()
    assert (mailing.mailing_id, mailing.state, mailing.sent) == (stopped, "stopped", 3)
    assert len(relay.received) == 3
    events = [(one.event, one.subject) for one in control_plane.audit_log.list(0, 100)]
    assert events[-2:] == [("mailing.requested", batch_id), ("mailing.stopped", batch_id)]
    control_plane.batches.publish(OPERATOR, batch_id, 7, mail_links=True)
    assert control_plane.mail_queue.list_mailings()[0].state == "stopped"


def test_a_mailing_that_nobody_requested_cannot_be_stopped(control_plane: ControlPlane) -> None:
    with pytest.raises(NotFound):
        control_plane.mail_queue.stop(OPERATOR, "bat_none")


def test_links_to_all_accounts_that_nobody_can_sign_in_to(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    for names in ("abc", "def"):
        control_plane.batches.publish(OPERATOR, open_batch(control_plane, names), 3)
    first = control_plane.links.mail_many(OPERATOR, "")
    assert control_plane.links.mail_many(OPERATOR, "") == first
    send_all(control_plane)
    assert names_of(relay) == "abcdef"
    assert control_plane.links.mail_many(OPERATOR, "") != first


@pytest.mark.both_stores
@pytest.mark.parametrize("of_a_batch", [True, False])
def test_two_requests_at_once_are_one_mailing(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, *, of_a_batch: bool
) -> None:
    batch_id = open_batch(control_plane)
    control_plane.batches.publish(OPERATOR, batch_id, 7)
    request = partial(control_plane.links.mail_many, OPERATOR, batch_id if of_a_batch else "")
    others: list[Future[str]] = []
    find = Outbox.find_running

    def find_while_another_waits(
        outbox: Outbox, tx: Transaction, which: str, seen: str | None
    ) -> MailingRecord | None:
        found = find(outbox, tx, which, seen)
        monkeypatch.setattr(Outbox, "find_running", find)
        others.append(pool.submit(request))
        wait_until_blocked(control_plane.store, tx)
        return found

    monkeypatch.setattr(Outbox, "find_running", find_while_another_waits)
    with ThreadPoolExecutor(1) as pool:
        first = request()
    assert [other.result() for other in others] == [first]
    assert len(control_plane.mail_queue.list_mailings()) == 1


def test_a_batch_without_accounts_cannot_be_mailed(control_plane: ControlPlane) -> None:
    with pytest.raises(BatchGone):
        control_plane.links.mail_many(OPERATOR, open_batch(control_plane))
    with pytest.raises(NotFound):
        control_plane.links.mail_many(OPERATOR, "bat_none")


def test_a_user_who_can_sign_in_by_now_gets_no_mail(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    publish(control_plane)
    [user] = control_plane.users.find(["a@example.com"])
    assert user
    [link] = control_plane.links.create(OPERATOR, [user.user_id])
    client = ClientInfo("192.0.2.1", "Firefox")
    control_plane.password_changes.by_link(secret_of(link.url), NEW_PASSWORD, client)
    send_all(control_plane)
    assert names_of(relay) == NAMES.removeprefix("a")


def test_a_mail_by_itself_does_not_wait_for_those_of_a_batch(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    control_plane.batches.publish(OPERATOR, open_batch(control_plane, "x"), 1)
    publish(control_plane)
    sender = sender_of(control_plane)
    while not relay.received:
        sender.send_next()
    [user] = control_plane.users.find(["x@example.com"])
    assert user
    control_plane.links.mail(OPERATOR, [user.user_id])
    while len(relay.received) < 2:
        sender.send_next()
    assert relay.received[1].recipients == ["x@example.com"]


def test_a_mailing_of_a_restored_backup_is_stopped(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    batch_id = publish(control_plane)
    sender = sender_of(control_plane)
    while not relay.received:
        sender.send_next()
    pass_time(control_plane, 3 * DAY_MS)
    send_all(control_plane)
    assert len(relay.received) == 1
    [mailing] = control_plane.mail_queue.list_mailings()
    assert (mailing.state, mailing.due) == ("stopped", 0)
    entry = control_plane.audit_log.list(0, 100)[-1]
    assert (entry.actor, entry.event, entry.subject) == ("system", "mailing.stopped", batch_id)


def test_a_mailing_of_a_restored_backup_creates_no_mails(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    publish(control_plane)
    pass_time(control_plane, 3 * DAY_MS)
    send_all(control_plane)
    assert relay.received == []
    assert control_plane.mail_queue.list_mailings()[0].state == "stopped"


def test_refused_mails_are_counted_and_listed(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    relay.on_recipient = lambda address: "550 no such user" if address[0] in "abc" else None
    publish(control_plane)
    send_all(control_plane)
    [mailing] = control_plane.mail_queue.list_mailings()
    assert (mailing.state, mailing.sent, mailing.failed) == ("sent", 4, 3)
    failed = control_plane.mail_queue.list_mails(failed=True)
    assert {(mail.email, mail.error) for mail in failed} == {
        (f"{name}@example.com", "550 no such user") for name in "abc"
    }


def test_the_duration_of_a_mailing_counts_what_was_requested_before(
    store_deployment: Deployment, relay: TestRelay
) -> None:
    settings = structs.replace(store_deployment.settings(), mail=relay.settings(per_minute=4))
    with closing(cheap_control_plane(settings)) as control_plane:
        publish(control_plane, "abcd")
        publish(control_plane, "ef")
        left = [one.seconds_left for one in control_plane.mail_queue.list_mailings()]
    # A quarter of the rate is for users who forgot their password.
    assert left == [120, 80]


@pytest.fixture
def without_relay(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as control_plane:
        yield control_plane


def test_without_a_relay_a_batch_with_mails_is_refused_and_stays_open(
    without_relay: ControlPlane,
) -> None:
    batch_id = open_batch(without_relay)
    with pytest.raises(MailUnavailable, match="ANYSCALE_SMTP_HOST"):
        without_relay.batches.publish(OPERATOR, batch_id, 7, mail_links=True)
    assert without_relay.batches.show(OPERATOR, batch_id).state == "open"
