"""Mails that fail, wait or are too old delay no others, whatever their addresses are."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.mail.test_mailings import names_of, publish
from tests.support.callers import OPERATOR
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import mails, pass_time, send_all, sender_of
from tests.support.users import checked_user, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.mail.kinds import LINK
from anyscale.server.core.mail.outbox import new_mails
from anyscale.server.core.time_units import DAY_MS, MINUTE_MS
from anyscale.server.store.records.mail import MANY
from anyscale.server.store.transaction import Transaction


@pytest.fixture
def control_plane(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """A control plane that creates two mails of a mailing at a time."""
    monkeypatch.setattr(sender_of(control_plane)._lane.source, "_most_created", 2)
    return control_plane


def test_mails_that_are_tried_again_later_stop_no_mailing(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    relay.on_recipient = lambda address: "450 no domain" if address[0] in "ab" else None
    publish(control_plane)
    send_all(control_plane)
    publish(control_plane, "xyz")
    send_all(control_plane)
    assert sorted(names_of(relay)) == list("cdefgxyz")


def test_a_mail_that_is_too_old_fails_by_itself(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    relay.on_recipient = lambda address: "450 greylisted" if address[0] == "a" else None
    publish(control_plane)
    sender = sender_of(control_plane)
    while len(relay.received) < 2:
        sender.send_next()
    with control_plane.store.write() as tx:
        tried = "where attempts > 0"
        execute_sql(tx, f"update outbox set created_at = created_at - {3 * DAY_MS} {tried}")
        execute_sql(tx, f"update outbox set next_at = created_at {tried}")
    send_all(control_plane)
    assert sorted(names_of(relay)) == list("bcdefg")
    [failed] = mails(control_plane, "failed")
    assert failed.last_error == "it was not sent in time: it is too old"
    [mailing] = control_plane.mail_queue.list_mailings()
    assert (mailing.state, mailing.sent, mailing.failed) == ("sent", 6, 1)


@pytest.mark.parametrize(
    "local",
    [
        "=?utf-8?q?=0d=0aBcc=3a_x?=",  # headers of its own
        "=?utf-8?b?YUBiLmMsIGQ=?=",  # two recipients
        "=?a?q?=2c?=?=",  # the library raises IndexError
    ],
)
def test_an_address_with_an_encoded_word_gets_no_mail_and_delays_none(
    control_plane: ControlPlane, relay: TestRelay, local: str
) -> None:
    create_accounts(control_plane, "jane")
    unusual = f"{local}@example.com"
    control_plane.batches.create(OPERATOR, "unusual", [checked_user(unusual)], "fail")
    for email in (unusual, "jane@example.com"):
        control_plane.password_resets.request(email, "192.0.2.1")
    send_all(control_plane)
    assert [mail.recipients for mail in relay.received] == [["jane@example.com"]]
    [failed] = mails(control_plane, "failed")
    assert failed.last_error == "the address cannot get mail"


def test_a_fault_of_ours_ends_no_mail(
    control_plane: ControlPlane, relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise KeyError("a template")

    create_accounts(control_plane, "jane")
    control_plane.password_resets.request("jane@example.com", "192.0.2.1")
    with monkeypatch.context() as broken:
        broken.setattr(sender_of(control_plane)._composer, "compose", fail)
        with pytest.raises(KeyError):
            send_all(control_plane)
    pass_time(control_plane, MINUTE_MS)  # the lease ends
    send_all(control_plane)
    assert len(relay.received) == 1


@pytest.mark.both_stores
def test_mails_to_the_same_accounts_that_are_requested_at_once_are_one_each(
    control_plane: ControlPlane,
) -> None:
    create_accounts(control_plane, "jane", "joe", password=None)
    found = control_plane.users.find(["jane@example.com", "joe@example.com"])
    ids = [user.user_id for user in found if user]

    def add(tx: Transaction, actor: str) -> None:
        tx.outbox.add_many(new_mails(tx.now(), LINK, sorted(ids, reverse=True), actor, rank=MANY))

    def add_second() -> None:
        with control_plane.store.write() as tx:
            add(tx, "second")

    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            add(tx, "first")
            second = pool.submit(add_second)
            wait_until_blocked(control_plane.store, tx)
        second.result(30)
    assert len({mail.user_id for mail in mails(control_plane)}) == len(mails(control_plane)) == 2


def test_a_mail_of_a_clock_that_was_ahead_is_sent_after_the_clean_up(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    publish(control_plane, "a")
    relay.on_recipient = lambda _: "450 later"
    send_all(control_plane)
    pass_time(control_plane, -30 * DAY_MS)
    relay.on_recipient = lambda _: None
    control_plane.clean_up()
    send_all(control_plane)
    assert names_of(relay) == "a"
