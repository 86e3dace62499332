"""Several servers send the mails of one database."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.locks import wait_until_blocked
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import (
    close_senders,
    mails,
    make_requests_due,
    pass_time,
    send_all,
    sender_of,
)
from tests.support.servers.control_planes import Deployment
from tests.support.users import checked_users, create_accounts

from anyscale.errors import LinkInvalid
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.mail.attempts import Attempts
from anyscale.server.core.mail.forgotten_passwords import look_up_next
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.store.transaction import Transaction

NAMES = "abcdefghijklmnopqrst"
EMAILS = [f"{name}@example.com" for name in ("ann", "jane", "zoe")]


@pytest.fixture
def servers(store_deployment: Deployment, relay: TestRelay) -> Iterator[list[ControlPlane]]:
    """Two control planes on one database."""
    settings = structs.replace(store_deployment.settings(), mail=relay.settings())
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(cheap_control_plane(settings))) for _ in range(2)]
        yield servers
        for server in servers:
            close_senders(server)


def request_links(server: ControlPlane, names: str = NAMES) -> None:
    for number, part in enumerate(zip(names[::2], names[1::2], strict=True)):
        server.batches.create(OPERATOR, f"key-{number}", checked_users(*part), "fail")
    users = server.users.find([f"{name}@example.com" for name in names])
    server.links.mail(OPERATOR, [user.user_id for user in users if user])


@pytest.mark.both_stores
def test_two_servers_at_once_send_each_mail_once(
    servers: list[ControlPlane], relay: TestRelay
) -> None:
    request_links(servers[0])
    threads = [threading.Thread(target=send_all, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    recipients = Counter(mail.recipients[0] for mail in relay.received)
    assert recipients == {f"{name}@example.com": 1 for name in NAMES}
    assert mails(servers[0]) == []


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.both_stores
def test_the_mail_of_a_server_that_died_is_sent_by_another_one_with_a_link_that_works(
    servers: list[ControlPlane], relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_links(servers[0], "ab")
    died = sender_of(servers[0])

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(died._attempts, "note_sent", die)
    with pytest.raises(Killed):
        died.send_next()
    [first] = relay.received
    send_all(servers[1])
    # Until its lease ends, nobody knows that the server has died.
    assert len(relay.received) == 2
    assert relay.received[1].recipients != first.recipients
    pass_time(servers[1], MINUTE_MS)
    send_all(servers[1])
    again = relay.received[2]
    assert again.recipients == first.recipients
    with pytest.raises(LinkInvalid):
        servers[1].password_changes.link_account(first.code)
    servers[1].password_changes.link_account(again.code)
    assert mails(servers[1]) == []


def test_a_server_that_still_sends_keeps_its_lease(
    servers: list[ControlPlane], relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.core.mail.sender._RENEW_SECONDS", 0.0)
    request_links(servers[0], "ab")
    sender = sender_of(servers[0])

    def hang(_: str) -> None:
        # Twice is longer than a lease; once leaves a slow machine time for the other mail.
        pass_time(servers[1], 40_000)
        sender.watch()
        pass_time(servers[1], 40_000)
        relay.on_data = lambda _: None
        send_all(servers[1])

    relay.on_data = hang
    sender.send_next()
    assert len(relay.received) == 2
    assert len({mail.recipients[0] for mail in relay.received}) == 2


def test_what_a_lease_that_has_ended_finds_changes_nothing(
    servers: list[ControlPlane], relay: TestRelay
) -> None:
    request_links(servers[0], "ab")
    sender = sender_of(servers[0])

    def refuse_late(_: str) -> str:
        relay.on_data = lambda _: None
        pass_time(servers[1], MINUTE_MS)
        send_all(servers[1])
        return "550 too late"

    relay.on_data = refuse_late
    sender.send_next()
    assert len(relay.received) == 2
    assert mails(servers[0], "failed") == []


@pytest.mark.both_stores
@pytest.mark.parametrize("answer", [None, "550 too late"])
def test_a_mail_that_two_servers_send_since_a_lease_has_ended_counts_once(
    servers: list[ControlPlane], relay: TestRelay, answer: str | None
) -> None:
    servers[0].batches.create(OPERATOR, "key", checked_users("a", "b"), "fail", mail_links=True)

    def answer_late(_: str) -> str | None:
        relay.on_data = lambda _: None
        pass_time(servers[1], MINUTE_MS)
        send_all(servers[1])
        return answer

    relay.on_data = answer_late
    send_all(servers[0])
    [mailing] = servers[0].mail_queue.list_mailings()
    assert (mailing.total, mailing.sent, mailing.failed) == (2, 2, 0)


@pytest.mark.both_stores
@pytest.mark.parametrize("is_stop", [True, False])
def test_a_mail_that_is_deleted_while_it_is_sent_counts_as_sent(
    servers: list[ControlPlane], relay: TestRelay, *, is_stop: bool
) -> None:
    users = checked_users("a", "b")
    batch = servers[0].batches.create(OPERATOR, "key", users, "fail", mail_links=True).batch

    def delete(_: str) -> None:
        relay.on_data = lambda _: None
        if is_stop:
            servers[1].mail_queue.stop(OPERATOR, batch.batch_id)
            return
        for mail in mails(servers[1]):
            servers[1].lifecycle.suspend(OPERATOR, mail.user_id)

    relay.on_data = delete
    send_all(servers[0])
    [mailing] = servers[0].mail_queue.list_mailings()
    assert (len(relay.received), mailing.sent, mailing.failed) == (1, 1, 0)


@pytest.mark.both_stores
def test_a_link_of_an_owner_who_is_suspended_while_its_mail_is_taken_ends(
    servers: list[ControlPlane], relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_accounts(servers[0], "ann", "jane", "zoe")
    ann, jane, zoe = (user.user_id for user in servers[0].users.find(EMAILS) if user)
    for owner in (jane, zoe):
        servers[0].lifecycle.set_role(OPERATOR, owner, "owner")
    send_all(servers[0])  # notices
    servers[0].links.mail(session_caller(servers[0], jane), [ann])
    create = Attempts._new_link

    def create_while_the_owner_is_suspended(
        attempts: Attempts, tx: Transaction, *mail: Any
    ) -> tuple[str, int]:
        created = create(attempts, tx, *mail)
        suspensions.append(pool.submit(servers[0].lifecycle.suspend, OPERATOR, jane))
        wait_until_blocked(servers[0].store, tx)
        return created

    suspensions: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setattr(Attempts, "_new_link", create_while_the_owner_is_suspended)
        sender_of(servers[0]).send_next()
        [suspension] = suspensions
        suspension.result()
    with pytest.raises(LinkInvalid):
        servers[0].password_changes.link_account(relay.received[-1].code)


@pytest.mark.parametrize("store_kind", ["postgres"], indirect=True)
def test_a_server_pauses_while_another_one_looks_up_the_only_forgotten_password(
    servers: list[ControlPlane], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = list[bool]()

    def noted(tx: Transaction) -> bool:
        looked_up.append(look_up_next(tx))
        return looked_up[-1]

    monkeypatch.setattr("anyscale.server.core.mail.forgotten_passwords.look_up_next", noted)
    servers[0].password_resets.request("jane@example.com", "192.0.2.1")
    make_requests_due(servers[0])
    with servers[0].store.write() as tx:
        assert tx.password_resets.take_due(tx.now())
        assert servers[1].mail_senders[1].send_next() == 1.0
    assert looked_up == [False]


def test_all_servers_together_keep_the_rate(store_deployment: Deployment, relay: TestRelay) -> None:
    settings = structs.replace(store_deployment.settings(), mail=relay.settings(per_minute=1))
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(cheap_control_plane(settings))) for _ in range(2)]
        request_links(servers[0], "ab")
        assert sender_of(servers[0]).send_next() == 0.0
        for server in servers:
            assert 25 < sender_of(server).send_next() <= 60
        assert len(relay.received) == 1
        pass_time(servers[0], MINUTE_MS)
        assert sender_of(servers[1]).send_next() == 0.0
        assert len(relay.received) == 2
        for server in servers:
            close_senders(server)
