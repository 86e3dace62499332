"""Undoing a batch: its accounts are deleted in slices, but for those that are kept."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from tests.support.callers import (
    OPERATOR,
    operator,
    personal_token_caller,
    session_caller,
    token_caller,
)
from tests.support.databases.locks import wait_until_blocked
from tests.support.users import PASSWORD, account_emails, checked_users

from anyscale.batch.undo_batch import undo_batch
from anyscale.domain.schemas.batches import UndoPart
from anyscale.errors import (
    BatchGone,
    BatchUndone,
    BatchUnfinished,
    NotAuthenticated,
    NotFound,
    RequestInvalid,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches import undo
from anyscale.server.core.callers import Caller, TokenCaller
from anyscale.server.in_process import Batches
from anyscale.user.models import Batch

pytestmark = pytest.mark.both_stores

if TYPE_CHECKING:  # for a cast
    from anyscale.transport.base import Transport

JANE = operator("jane")


@pytest.fixture
def _slices_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each call look at two accounts."""
    monkeypatch.setattr(undo, "_SLICE", 2)
    monkeypatch.setattr(undo, "_SECONDS_A_CALL", 0)


def created(
    control_plane: ControlPlane, *names: str, key: str = "key", if_exists: str = "fail"
) -> Batch:
    return control_plane.batches.create(JANE, key, checked_users(*names), if_exists).batch


def undone(
    control_plane: ControlPlane,
    batch: Batch,
    *,
    after: str = "",
    force: bool = False,
    dry_run: bool = False,
    caller: Caller = JANE,
) -> UndoPart:
    return control_plane.batches.undo(caller, batch.batch_id, after, force=force, dry_run=dry_run)


def ids_of(control_plane: ControlPlane, batch: Batch) -> list[str]:
    return [user.user_id for user in control_plane.batches.created(batch.batch_id, "", 1000)]


def use(control_plane: ControlPlane, user_id: str) -> None:
    session_caller(control_plane, user_id)


def reasons(part: UndoPart) -> dict[str, str]:
    return {user.email.partition("@")[0]: user.reason for user in part.kept}


def test_it_deletes_the_accounts_of_its_batch_and_no_others(control_plane: ControlPlane) -> None:
    created(control_plane, "ann", key="earlier")
    batch = created(control_plane, "ann", "joe", "kim", if_exists="skip")
    assert undone(control_plane, batch) == UndoPart(batch.batch_id, 2, [], None)
    assert account_emails(control_plane) == ["ann@example.com"]
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undone"
    again = created(control_plane, "joe", "kim", key="another")
    assert len(ids_of(control_plane, again)) == 2


def test_a_second_undo_deletes_nothing_and_writes_nothing(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann", "joe")
    undone(control_plane, batch)
    entries = control_plane.audit_log.list(0, 100)
    assert undone(control_plane, batch, force=True).removed == 0
    assert control_plane.audit_log.list(0, 100) == entries


def test_an_account_that_was_used_is_kept_unless_forced(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann", "joe")
    _, joe = ids_of(control_plane, batch)
    use(control_plane, joe)
    assert reasons(undone(control_plane, batch)) == {"joe": "used"}
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undone"
    with control_plane.store.read() as tx:
        assert len(tx.sessions.list(joe)) == 1
    part = undone(control_plane, batch, force=True)
    assert (part.removed, part.kept) == (1, [])
    assert account_emails(control_plane) == []
    assert control_plane.tokens.all() == []


def test_the_last_owner_is_kept_although_forced(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann", "joe", "kim")
    ann, joe, _ = ids_of(control_plane, batch)
    for user_id in (ann, joe):
        control_plane.lifecycle.set_role(JANE, user_id, "owner")
    assert reasons(undone(control_plane, batch, force=True, dry_run=True)) == {"joe": "last_owner"}
    assert reasons(undone(control_plane, batch, force=True)) == {"joe": "last_owner"}
    assert account_emails(control_plane) == ["joe@example.com"]


def test_an_owner_of_another_batch_lets_all_owners_be_deleted(control_plane: ControlPlane) -> None:
    [lou] = ids_of(control_plane, created(control_plane, "lou", key="earlier"))
    batch = created(control_plane, "ann")
    for user_id in (lou, *ids_of(control_plane, batch)):
        control_plane.lifecycle.set_role(JANE, user_id, "owner")
    assert undone(control_plane, batch, force=True).removed == 1


def test_the_account_of_the_caller_is_kept(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann", "joe")
    ann, joe = ids_of(control_plane, batch)
    for user_id in (ann, joe):
        control_plane.lifecycle.set_role(JANE, user_id, "owner")
    part = undone(control_plane, batch, force=True, caller=session_caller(control_plane, ann))
    assert (part.removed, reasons(part)) == (1, {"ann": "caller"})


def test_the_account_of_a_caller_of_another_batch_is_no_part_of_the_undo(
    control_plane: ControlPlane,
) -> None:
    [lou] = ids_of(control_plane, created(control_plane, "lou", key="earlier"))
    control_plane.lifecycle.set_role(JANE, lou, "owner")
    caller = personal_token_caller(control_plane, lou)
    part = undone(control_plane, created(control_plane, "ann", "joe"), force=True, caller=caller)
    assert (part.removed, part.kept) == (2, [])
    assert account_emails(control_plane) == ["lou@example.com"]


def test_a_dry_run_says_what_the_run_does_and_changes_nothing(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann", "joe", "kim")
    use(control_plane, ids_of(control_plane, batch)[1])
    emails, entries = account_emails(control_plane), control_plane.audit_log.list(0, 100)
    for force in (False, True):
        planned = undone(control_plane, batch, force=force, dry_run=True)
        assert account_emails(control_plane) == emails
        assert control_plane.audit_log.list(0, 100) == entries
        assert planned.removed == (3 if force else 2)
    assert control_plane.batches.show(JANE, batch.batch_id).state == "published"
    assert undone(control_plane, batch, force=True) == planned


@pytest.mark.usefixtures("_slices_of_two")
def test_a_batch_shows_how_many_accounts_are_deleted_and_how_many_remain(
    control_plane: ControlPlane,
) -> None:
    created(control_plane, "lou", key="earlier")
    opened = control_plane.batches.open(JANE, "opened", "fail")
    shown = control_plane.batches.show(JANE, opened.batch_id)
    assert (shown.removed, shown.remaining) == (None, None)

    batch = created(control_plane, "lou", *"abcdef", if_exists="skip")
    ids = ids_of(control_plane, batch)
    use(control_plane, ids[0])
    shown = control_plane.batches.show(JANE, batch.batch_id)
    assert (shown.removed, shown.remaining) == (0, 6)

    control_plane.lifecycle.delete(JANE, ids[5])
    shown = control_plane.batches.show(JANE, batch.batch_id)
    assert (shown.state, shown.removed, shown.remaining) == ("published", 1, 5)

    part = undone(control_plane, batch)
    shown = control_plane.batches.show(JANE, batch.batch_id)
    assert (shown.state, shown.users) == ("undoing", 6)
    assert (shown.removed, shown.remaining) == (2, 4)

    while part.after is not None:
        part = undone(control_plane, batch, after=part.after)
    shown = control_plane.batches.show(JANE, batch.batch_id)
    assert (shown.state, shown.removed, shown.remaining) == ("undone", 5, 1)
    (listed, *_) = control_plane.batches.page(open_only=False, before="", limit=9)
    assert (listed.removed, listed.remaining) == (None, None)


@pytest.mark.usefixtures("_slices_of_two")
def test_each_slice_is_a_transaction_after_which_another_undo_goes_on(
    control_plane: ControlPlane,
) -> None:
    batch = created(control_plane, *"abcdefg")
    use(control_plane, ids_of(control_plane, batch)[3])
    first = undone(control_plane, batch)
    assert (first.removed, control_plane.batches.show(JANE, batch.batch_id).state) == (2, "undoing")
    assert account_emails(control_plane) == [f"{name}@example.com" for name in "cdefg"]
    parts = [undone(control_plane, batch)]  # from the start again, as after a crash
    while parts[-1].after is not None:
        parts.append(undone(control_plane, batch, after=parts[-1].after))
    assert [part.removed for part in parts] == [1, 2, 1, 0]
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undone"
    assert account_emails(control_plane) == ["d@example.com"]


def test_a_transaction_deletes_up_to_500_accounts(control_plane: ControlPlane) -> None:
    """More would take the writer for more than 50 ms."""
    batch = created(control_plane, *(f"user{number}" for number in range(1_000)))
    after: str | None = ""
    while after is not None:
        after = undone(control_plane, batch, after=after).after
    entries = [
        e for e in control_plane.audit_log.list(0, 100) if e.event == "batch.accounts_deleted"
    ]
    assert [e.data for e in entries] == [
        '{"positions":"0-499","removed":500}',
        '{"positions":"500-999","removed":500}',
    ]


@pytest.mark.usefixtures("_slices_of_two")
def test_an_interrupted_undo_goes_on_with_force_and_without_it(control_plane: ControlPlane) -> None:
    batch = created(control_plane, *"abcdefg")
    for user_id in ids_of(control_plane, batch)[::2]:
        use(control_plane, user_id)
    assert reasons(undone(control_plane, batch)) == {"a": "used"}
    assert undone(control_plane, batch, force=True).removed == 2  # the first two that remain
    assert account_emails(control_plane) == [f"{name}@example.com" for name in "defg"]
    part = undone(control_plane, batch)
    kept = reasons(part)
    while part.after is not None:
        part = undone(control_plane, batch, after=part.after)
        kept |= reasons(part)
    assert kept == {"e": "used", "g": "used"}
    assert account_emails(control_plane) == ["e@example.com", "g@example.com"]


@pytest.mark.usefixtures("_slices_of_two")
def test_the_audit_log_names_the_positions_of_each_slice(control_plane: ControlPlane) -> None:
    batch = created(control_plane, *"abcde")
    use(control_plane, ids_of(control_plane, batch)[1])
    after: str | None = ""
    while after is not None:
        after = undone(control_plane, batch, after=after).after
    entries = [e for e in control_plane.audit_log.list(0, 100) if e.subject == batch.batch_id]
    assert [(entry.event, entry.data) for entry in entries[1:]] == [
        ("batch.accounts_deleted", '{"positions":"0","removed":1}'),
        ("batch.accounts_deleted", '{"positions":"2-3","removed":2}'),
        ("batch.accounts_deleted", '{"positions":"4","removed":1}'),
        ("batch.undone", "{}"),
    ]


def test_the_audit_log_names_positions_by_ranges(control_plane: ControlPlane) -> None:
    batch = created(control_plane, *"abcdef")
    use(control_plane, ids_of(control_plane, batch)[2])
    undone(control_plane, batch)
    [data] = [
        e.data for e in control_plane.audit_log.list(0, 100) if e.event == "batch.accounts_deleted"
    ]
    assert data == '{"positions":"0-1,3-5","removed":5}'


def test_links_that_a_deleted_user_created_for_others_are_deleted(
    control_plane: ControlPlane,
) -> None:
    batch, others = (
        created(control_plane, "ann"),
        created(control_plane, "joe", "lou", key="others"),
    )
    [ann], [joe, lou] = ids_of(control_plane, batch), ids_of(control_plane, others)
    for user_id in (ann, lou):
        control_plane.lifecycle.set_role(JANE, user_id, "owner")
    control_plane.links.create(session_caller(control_plane, ann), [joe])
    assert control_plane.links.exists(joe)
    assert undone(control_plane, batch).links_ended == 0  # the account is kept
    for dry_run in (True, False):
        part = undone(control_plane, batch, force=True, dry_run=dry_run)
        assert (part.removed, part.links_ended) == (1, 1)
    assert not control_plane.links.exists(joe)
    (deleted,) = [
        entry
        for entry in control_plane.audit_log.list(0, 100)
        if entry.event == "batch.accounts_deleted"
    ]
    assert json.loads(deleted.data) == {"removed": 1, "positions": "0", "links_ended": 1}


@pytest.mark.usefixtures("_slices_of_two")
@pytest.mark.parametrize("half", [True, False])
def test_a_key_of_an_undone_batch_is_refused_and_never_gives_the_old_list(
    control_plane: ControlPlane, half: bool
) -> None:
    batch = created(control_plane, *"abc")
    after = undone(control_plane, batch).after
    while after is not None and not half:
        after = undone(control_plane, batch, after=after).after
    left = ["c@example.com"] if half else []
    assert control_plane.batches.show(JANE, batch.batch_id).state == (
        "undoing" if half else "undone"
    )
    _refuse_the_key(control_plane, batch)
    assert account_emails(control_plane) == left


def _refuse_the_key(control_plane: ControlPlane, batch: Batch) -> None:
    batches = control_plane.batches
    for call in (
        lambda: created(control_plane, *"abc"),
        lambda: batches.open(JANE, "key", "fail"),
        lambda: batches.find("key"),
        lambda: batches.reserve(OPERATOR, batch.batch_id, 1, checked_users("joe")),
        lambda: batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)]),
        lambda: batches.publish(JANE, batch.batch_id, 3),
    ):
        with pytest.raises(BatchUndone):
            call()


def test_a_batch_without_accounts_cannot_be_undone(control_plane: ControlPlane) -> None:
    opened = control_plane.batches.open(JANE, "open", "fail")
    with pytest.raises(BatchGone, match="is open and has no accounts yet"):
        undone(control_plane, opened)
    control_plane.batches.drop(JANE, opened.batch_id)
    with pytest.raises(BatchGone, match="was dropped: it never had accounts"):
        undone(control_plane, opened)
    with pytest.raises(NotFound):
        control_plane.batches.undo(JANE, "bat_none", "", force=False, dry_run=True)


def test_an_id_of_another_batch_does_not_end_an_undo(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann")
    [later] = ids_of(control_plane, created(control_plane, "joe", key="later"))
    for after in (later, "zzz"):
        with pytest.raises(RequestInvalid, match="after must be the id of a user of batch"):
            undone(control_plane, batch, after=after)
    assert control_plane.batches.show(JANE, batch.batch_id).state == "published"


@pytest.mark.usefixtures("_slices_of_two")
def test_a_client_cannot_say_how_far_an_undo_is(control_plane: ControlPlane) -> None:
    batch = created(control_plane, *"abcde")
    ids = ids_of(control_plane, batch)
    last = f"{ids[0][:-8]}ffffffff"
    first = undone(control_plane, batch)
    assert first.after == ids[1]
    for after in (last, ids[2], ids[4]):
        with pytest.raises(RequestInvalid, match="has come to"):
            undone(control_plane, batch, after=after)
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undoing"
    assert undone(control_plane, batch, after=last, dry_run=True).removed == 0
    assert undone(control_plane, batch, after=ids[1]).after == ids[3]
    assert undone(control_plane, batch, after=ids[0]).removed == 1  # looked at again
    assert undone(control_plane, batch, after=ids[4]).after is None
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undone"
    assert account_emails(control_plane) == []


@pytest.mark.parametrize("rest", ["0000000\0", "\0", "0000000g", "000000000", "", "0000000A"])
def test_after_is_a_whole_id(control_plane: ControlPlane, rest: str) -> None:
    batch = created(control_plane, *"ab")
    prefix = ids_of(control_plane, batch)[0][:-8]
    for dry_run in (False, True):
        with pytest.raises(RequestInvalid, match="after must be the id of a user of batch"):
            undone(control_plane, batch, after=prefix + rest, dry_run=dry_run)


@pytest.mark.usefixtures("_slices_of_two")
def test_accounts_that_stay_let_an_undo_go_on(control_plane: ControlPlane) -> None:
    batch = created(control_plane, *"abcde")
    for user_id in ids_of(control_plane, batch)[:4]:
        use(control_plane, user_id)
    after: str | None = ""
    while after is not None:
        after = undone(control_plane, batch, after=after).after
    assert len(account_emails(control_plane)) == 4
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undone"


def test_no_conflict_has_the_email_of_an_account_that_an_undo_deleted(
    control_plane: ControlPlane,
) -> None:
    batch, other = created(control_plane, *"abc"), created(control_plane, *"de", key="other")
    kept = ids_of(control_plane, batch)[1]
    use(control_plane, kept)
    users = checked_users("A", "b", "d")
    opened = control_plane.batches.open(JANE, "report", "fail")
    control_plane.batches.reserve(JANE, opened.batch_id, 0, users)
    undone(control_plane, batch)
    found = control_plane.batches.conflicts(opened.batch_id, -1, 10)
    assert [one.email for one in found] == ["", users[1].email, users[2].email]
    assert other.state == "published"


def test_an_undone_batch_cannot_be_dropped_with_the_accounts_that_it_kept(
    control_plane: ControlPlane,
) -> None:
    batch = created(control_plane, "ann")
    use(control_plane, ids_of(control_plane, batch)[0])
    undone(control_plane, batch)
    with pytest.raises(BatchGone, match="was undone, and nothing is left to drop: "):
        control_plane.batches.drop(JANE, batch.batch_id)
    control_plane.batches.expire()
    assert account_emails(control_plane) == ["ann@example.com"]


def test_an_account_that_is_used_while_the_undo_waits_for_it_is_kept(
    control_plane: ControlPlane,
) -> None:
    batch = created(control_plane, "ann", "joe")
    ann, _ = ids_of(control_plane, batch)
    with ThreadPoolExecutor() as pool:
        with control_plane.store.write() as tx:
            tx.accounts.lock([ann])
            part = pool.submit(undone, control_plane, batch)
            wait_until_blocked(control_plane.store, tx)
            tx.accounts.mark_used(ann, tx.now())
        assert reasons(part.result(30)) == {"ann": "used"}


def test_an_account_that_is_deleted_while_the_undo_waits_for_it_is_not_counted(
    control_plane: ControlPlane,
) -> None:
    batch = created(control_plane, "ann", "joe")
    ann, _ = ids_of(control_plane, batch)
    with ThreadPoolExecutor() as pool:
        with control_plane.store.write() as tx:
            tx.accounts.delete(ann)
            part = pool.submit(undone, control_plane, batch)
            wait_until_blocked(control_plane.store, tx)
        assert (part.result(30).removed, part.result().kept) == (1, [])


def test_accounts_that_are_deleted_meanwhile_do_not_end_an_undo(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_SLICE", 1)
    monkeypatch.setattr(undo, "_SECONDS_A_CALL", 0)
    batch = created(control_plane, "ann", "joe")
    ann, _ = ids_of(control_plane, batch)
    with ThreadPoolExecutor() as pool:
        with control_plane.store.write() as tx:
            tx.accounts.delete(ann)
            part = pool.submit(undone, control_plane, batch)
            wait_until_blocked(control_plane.store, tx)
        assert part.result(30).after is not None


def test_an_undo_waits_for_other_calls_of_its_batch(control_plane: ControlPlane) -> None:
    batch = created(control_plane, "ann")
    with ThreadPoolExecutor() as pool:
        with control_plane.store.write() as tx:
            tx.batches.lock(batch.batch_id, exclusive=False)
            part = pool.submit(undone, control_plane, batch)
            wait_until_blocked(control_plane.store, tx)
        assert part.result(30).removed == 1


def test_a_response_names_so_many_kept_accounts_and_no_more(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_SLICE", 2)
    monkeypatch.setattr(undo, "_MOST_KEPT", 2)
    monkeypatch.setattr(undo, "_SECONDS_A_CALL", 60.0)
    batch = created(control_plane, "ann", "joe", "kim", "lee")
    ids = ids_of(control_plane, batch)
    for user_id in ids:
        use(control_plane, user_id)
    part = undone(control_plane, batch)
    assert (list(reasons(part)), part.after) == (["ann", "joe"], ids[1])


def test_other_writes_go_on_between_the_slices_of_an_undo(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = created(control_plane, *(f"user{number}" for number in range(1_000)))
    monkeypatch.setattr(undo, "_SLICE", 20)
    monkeypatch.setattr(undo, "_SECONDS_A_CALL", 60.0)  # one call, however busy the machine is
    writes = 0
    with ThreadPoolExecutor() as pool:
        part = pool.submit(undone, control_plane, batch)
        while not part.done():
            with control_plane.store.write() as tx:
                tx.batches.touch(1, tx.now())
            writes += 1
        assert part.result().removed == 1_000
    assert writes > 3


def test_two_undos_at_once_delete_each_account_once(control_plane: ControlPlane) -> None:
    batch = created(control_plane, *(f"user{number}" for number in range(600)))
    with ThreadPoolExecutor() as pool:
        parts = [pool.submit(undone, control_plane, batch) for _ in range(2)]
        assert sum(part.result(60).removed for part in parts) == 600
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undone"


@pytest.fixture
def caller(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> TokenCaller:
    """An owner whose token is revoked after the first slice of two accounts."""
    found = token_caller(control_plane, "laptop")
    moments: list[float] = []

    def now() -> float:
        moments.append(time.monotonic())
        if len(moments) == 2:  # the end of the first slice, after the start of the call
            monkeypatch.undo()
            control_plane.tokens.revoke(operator("jane"), "laptop")
        return moments[-1]

    monkeypatch.setattr(undo, "_SLICE", 2)
    monkeypatch.setattr(undo, "time", SimpleNamespace(monotonic=now, sleep=time.sleep))
    return found


def test_a_call_that_fails_after_a_slice_returns_what_it_has_deleted(
    control_plane: ControlPlane, caller: TokenCaller
) -> None:
    batch = created(control_plane, *"abcde")
    _, second, *_ = ids_of(control_plane, batch)
    assert undone(control_plane, batch, caller=caller) == UndoPart(batch.batch_id, 2, [], second)
    with pytest.raises(NotAuthenticated):
        undone(control_plane, batch, after=second, caller=caller)
    assert control_plane.batches.show(JANE, batch.batch_id).state == "undoing"


def test_a_client_whose_token_is_revoked_half_way_reports_an_unfinished_undo(
    control_plane: ControlPlane, caller: TokenCaller
) -> None:
    batch = created(control_plane, *"abcde")
    calls = SimpleNamespace(batches=Batches(lambda _: control_plane, caller), retries=0)
    transport = cast("Transport", calls)
    with pytest.raises(BatchUnfinished, match="; 2 accounts were deleted, and the undo is unfin"):
        undo_batch(transport, batch, force=False, dry_run=False)
    with pytest.raises(NotAuthenticated):  # nothing was deleted by this call
        undo_batch(transport, batch, force=False, dry_run=False)
