"""Batches by every transport, and what every transport promises: `transport.base.Transport`."""

from contextlib import closing
from itertools import product
from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from tests.client.transports.steps import Connect, accounts
from tests.support.servers.control_planes import NewDeployment
from tests.support.users import (
    PASSWORD,
    POLICY,
    checked_user,
    checked_users,
    list_accounts,
    passwords_for,
)

from anyscale.errors import (
    AnyscaleError,
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    NotFound,
    VersionMismatch,
)
from anyscale.transport.base import Transport
from anyscale.transport.http.transport import HttpTransport
from anyscale.user.models import User

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_transport_tells_where_it_is_and_its_limits(transport: Transport) -> None:
    assert transport.where
    assert transport.reservations_at_once >= 1
    assert transport.hashes_at_once >= 1
    assert transport.policy() == POLICY


@pytest.mark.parametrize(
    ("email", "other"),
    [
        ("γιωργος.π@example.com", "ΓΙΩΡΓΟΣ.Π@example.com"),
        ("ασ@example.com", "ΑΣ@example.com"),  # noqa: RUF001 - Greek letters alone
        ("ας@example.com", "ΑΣ@example.com"),
    ],
)
def test_emails_that_differ_only_in_case_are_one_in_every_script(
    transport: Transport, email: str, other: str
) -> None:
    transport.batches.create("one", [checked_user(email)], "fail")
    with pytest.raises(BatchRefused) as refused:
        transport.batches.create("two", [checked_user(other)], "fail")
    assert [problem.code for problem in refused.value.problems] == ["email_exists"]
    assert [user.email for user in list_accounts(transport, email=other, exact=True)] == [email]
    found = list_accounts(transport, email=other)
    assert [user.email for user in found] == [email]


def test_a_small_batch_is_created_in_one_call(transport: Transport) -> None:
    users = checked_users("b", "a", password=PASSWORD)
    created = transport.batches.create("key", users, "fail", passwords_for(users))

    assert [user.email for user in created.users] == ["b@example.com", "a@example.com"]
    assert (created.batch.state, created.batch.users, created.replayed) == ("published", 2, False)
    assert transport.batches.create("key", users, "fail", passwords_for(users)).replayed
    assert accounts(transport) == ["b@example.com", "a@example.com"]


def test_a_large_batch_is_reserved_hashed_and_published(transport: Transport) -> None:
    batch = transport.batches.open("key", "fail")
    assert (
        transport.batches.reserve(
            batch.batch_id, 0, checked_users("d", "c", "b", password=PASSWORD)
        ).users
        == 3
    )
    assert transport.batches.reserve(batch.batch_id, 1, checked_users("a")).conflicts == 0
    with pytest.raises(BatchUnfinished):
        transport.batches.publish(batch.batch_id, 4)
    assert transport.batches.hash(batch.batch_id, [(at, PASSWORD) for at in range(2)]) == 2
    assert transport.batches.hash(batch.batch_id, [(2, PASSWORD)]) == 1
    assert accounts(transport) == []

    published = transport.batches.publish(batch.batch_id, 4)

    assert published.published_by == published.opened_by == batch.opened_by
    created = transport.batches.created(batch.batch_id, "", 3)
    created += transport.batches.created(batch.batch_id, created[-1].user_id, 3)
    assert [user.email[0] for user in created] == ["d", "c", "b", "a"]
    assert {user.created_at for user in created} == {published.published_at}
    shown = transport.batches.show(batch.batch_id)
    assert shown == structs.replace(published, opened_by_caller=True)
    assert (shown.without_credentials, shown.removed, shown.remaining) == (1, 0, 4)
    uncounted = structs.replace(published, without_credentials=None, removed=None, remaining=None)
    assert transport.batches.list(open_only=False, before="", limit=100) == [uncounted]
    assert transport.batches.find("key") == uncounted


def test_a_batch_keeps_the_label_that_it_was_opened_with(transport: Transport) -> None:
    small = transport.batches.create("small", checked_users("a"), "fail", label="staff.csv").batch
    large = transport.batches.open("large", "fail", "März 2026.csv")
    without = transport.batches.create("none", checked_users("b"), "fail", label=None).batch

    assert (small.label, large.label) == ("staff.csv", "März 2026.csv")
    assert transport.batches.open("large", "fail", "other.csv").label == large.label
    assert transport.batches.show(small.batch_id).label == small.label
    listed = transport.batches.list(open_only=False, before="", limit=100)
    # Batches of one millisecond have no order.
    assert {batch.batch_id: batch.label for batch in listed} == {
        batch.batch_id: batch.label for batch in (small, large, without)
    }
    assert without.label is None


@pytest.mark.parametrize("label", ["two\nlines", "\u202efdp.exe", " ", " x", "x" * 201])
def test_a_label_has_at_most_200_visible_characters(transport: Transport, label: str) -> None:
    refuse_label(transport, label, "200 visible characters, without blanks around")


def test_a_label_is_not_empty(transport: Transport) -> None:
    refuse_label(transport, "", "a label cannot be empty: leave it out")


def refuse_label(transport: Transport, label: str, message: str) -> None:
    users = checked_users("a")
    for call in (
        lambda: transport.batches.create("key", users, "fail", label=label),
        lambda: transport.batches.open("key", "fail", label),
    ):
        with pytest.raises(AnyscaleError, match=message):
            call()
    assert transport.batches.find("key") is None


def test_the_suspended_accounts_of_skipped_entries_are_counted(transport: Transport) -> None:
    users = checked_users("jane", "joe")
    transport.batches.create("old", users, "fail")
    jane, joe = list_accounts(transport)
    for user in (jane, joe):
        transport.users.suspend(user.user_id)
    batch = transport.batches.create("new", users, "skip").batch
    assert transport.batches.show(batch.batch_id).skipped_suspended == 2
    assert [one.suspended for one in transport.batches.look_up(users, 0)] == [True, True]
    transport.users.restore(jane.user_id)
    transport.users.delete(joe.user_id)
    assert transport.batches.show(batch.batch_id).skipped_suspended == 0
    assert [one.suspended for one in transport.batches.look_up(users, 0)] == [False]


def test_conflicts_name_the_holder_of_the_email(transport: Transport) -> None:
    transport.batches.create("key", checked_users("a"), "fail")
    holder, batch = (
        transport.batches.open("holder", "fail"),
        transport.batches.open("batch", "skip"),
    )
    transport.batches.reserve(holder.batch_id, 0, checked_users("b"))

    reserved = transport.batches.reserve(batch.batch_id, 0, checked_users("a", "b", "c"))

    assert (reserved.users, reserved.skipped, reserved.conflicts) == (1, 1, 1)
    assert reserved.holders == [holder.batch_id]
    exists, conflict = transport.batches.conflicts(batch.batch_id)
    assert (exists.position, exists.kind) == (0, "exists")
    assert (conflict.position, conflict.kind, conflict.holder) == (1, "reserved", holder.batch_id)
    assert (conflict.reserved_by, conflict.reserved_since) == (holder.opened_by, holder.opened_at)
    looked_up = transport.batches.look_up(checked_users("a", "b", "z"), 0)
    assert [(c.position, c.kind) for c in looked_up] == [(0, "exists"), (1, "reserved")]
    (account,) = list_accounts(transport, email="a@example.com", exact=True)
    assert [c.user_id for c in looked_up] == [account.user_id, None]


def test_released_and_dropped_emails_are_free(transport: Transport) -> None:
    batch = transport.batches.open("key", "fail")
    transport.batches.reserve(batch.batch_id, 0, checked_users("a"))
    transport.batches.release(batch.batch_id)
    assert transport.batches.look_up(checked_users("a"), 0) == []
    transport.batches.reserve(batch.batch_id, 0, checked_users("a"))
    dropped = transport.batches.drop(batch.batch_id)
    assert (dropped.state, dropped.opened_by_caller) == ("dropped", True)
    assert transport.batches.look_up(checked_users("a"), 0) == []
    assert transport.batches.find("key") is None


def test_refusals_are_the_errors_of_the_package(transport: Transport) -> None:
    transport.batches.create("small", checked_users("a"), "fail")
    with pytest.raises(BatchRefused) as refused:
        transport.batches.create("other", checked_users("b", "a"), "fail")
    assert [(p.index, p.field, p.code) for p in refused.value.problems] == [
        (1, "email", "email_exists")
    ]
    with pytest.raises(KeyReused):
        transport.batches.create("small", checked_users("c"), "fail")
    batch = transport.batches.open("large", "fail")
    with pytest.raises(KeyReused):
        transport.batches.open("large", "skip")
    transport.batches.reserve(batch.batch_id, 0, checked_users("c"))
    with pytest.raises(KeyReused):
        transport.batches.reserve(batch.batch_id, 0, checked_users("d"))
    transport.batches.drop(batch.batch_id)
    with pytest.raises(BatchGone):
        transport.batches.reserve(batch.batch_id, 0, checked_users("c"))
    with pytest.raises(BatchGone):
        transport.batches.publish(batch.batch_id, 1)


def test_an_unknown_batch_is_not_found(connect: Connect) -> None:
    for first in (lambda _: None, lambda transport: transport.batches.open("key", "fail")):
        with closing(connect()) as transport:
            first(transport)
            calls: list[Callable[[str], object]] = [
                transport.batches.show,
                transport.batches.conflicts,
                transport.batches.release,
                transport.batches.drop,
                lambda batch_id: transport.batches.created(batch_id, "", 10),
                lambda batch_id: transport.batches.undo(batch_id, "", force=False, dry_run=True),
            ]
            for call, batch_id in product(calls, ("bat_none", "../users")):
                with pytest.raises(NotFound, match=f"there is no batch {batch_id}"):
                    call(batch_id)


def test_the_newest_audit_entries_come_first_and_no_page_repeats_one(transport: Transport) -> None:
    for name in ("ann", "bob", "cid"):
        transport.batches.create(name, checked_users(name), "fail")
    numbers = [entry.number for entry in transport.audit.list(0, 100)]
    first, second = numbers[:2]
    pages = [transport.audit.list(first, 2, newest_first=True)]
    while page := pages[-1]:
        transport.batches.create(f"key{len(pages)}", checked_users(f"user{len(pages)}"), "fail")
        pages.append(transport.audit.list(first, 2, before=page[-1].number, newest_first=True))
    listed = [entry.number for page in pages for entry in page]
    assert listed == list(reversed(numbers[1:]))
    assert [entry.number for entry in transport.audit.list(0, 9, before=second)] == [first]
    newest = transport.audit.list(0, 1, newest_first=True)
    assert newest[0].number == numbers[-1] + len(pages) - 1


def test_a_call_that_a_control_plane_does_not_know_is_a_version_mismatch(
    new_deployment: NewDeployment,
) -> None:
    with new_deployment(over_http=True) as deployment:
        transport = deployment.transport()
        assert isinstance(transport, HttpTransport)
        with closing(transport), pytest.raises(VersionMismatch, match="does not know this call"):
            transport.users._request(User, "PATCH", "/v1/users", changes=False)


def test_another_transport_sees_the_same_and_closing_twice_is_closing_once(
    connect: Connect,
) -> None:
    with closing(connect()) as one, closing(connect()) as other:
        assert accounts(other) == []
        one.batches.create("key", checked_users("a"), "fail")
        assert accounts(other) == ["a@example.com"]
        one.close()
    with closing(connect()) as later:
        assert accounts(later) == ["a@example.com"]


def test_a_switched_off_feature_creates_nothing_and_says_why(connect: Connect) -> None:
    with closing(connect(available=False)) as transport:
        calls: list[Callable[[], object]] = [
            transport.policy,
            lambda: transport.batches.create("key", checked_users("a"), "fail"),
            lambda: transport.batches.open("key", "fail"),
        ]
        for call in calls:
            with pytest.raises(FeatureUnavailable, match="customer-hosted clouds"):
                call()
        assert accounts(transport) == []
        assert (
            transport.batches.look_up(checked_users("a"), 0) == []
        )  # though other clients have created accounts
