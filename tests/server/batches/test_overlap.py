"""Batches with the same emails: one succeeds, and the others report the right result."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import msgspec
import pytest
from tests.support.run_keys import OnceKey
from tests.support.servers.control_planes import Deployment, NewDeployment, embedded_transport
from tests.support.users import PASSWORD, POLICY, checked_users, list_accounts, users_to_create
from tests.support.waiting import wait_until

from anyscale.batch_run import email_conflicts
from anyscale.batch_run.email_conflicts import EmailConflicts, IsAbandoned
from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.domain.models.batches import Conflict
from anyscale.errors import BatchRefused
from anyscale.transport.base import Transport
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminCreateUser, AdminImportUser, Batch

PATIENT = msgspec.structs.replace(POLICY, reservation_wait=60)
HASTY = msgspec.structs.replace(POLICY, reservation_wait=0.3)

DROP = "`drop {}`".format

Say = Callable[[str], None]


@pytest.fixture
def transport(deployment: Deployment) -> Iterator[Transport]:
    """Reserves for one of the batches, call by call."""
    with closing(deployment.transport(PATIENT)) as transport:
        yield transport


def run_batch(
    deployment: Deployment,
    users: list[AdminCreateUser],
    *,
    key: str = "run",
    if_exists: str = "fail",
    hasty: bool = False,
    is_abandoned: IsAbandoned = lambda _: nullcontext(False),
    log: Say = lambda _: None,
) -> Outcome:
    """Run a batch with its own transport, as another process would."""
    with closing(deployment.transport(HASTY if hasty else PATIENT)) as transport:
        run = BatchRun(
            transport,
            ListSource(users),
            OnceKey(key),
            if_exists=if_exists,
            drop_command=DROP,
            is_abandoned=is_abandoned,
            log=log,
        )
        return run.run()


def in_background(call: Callable[[], Outcome]) -> "Future[Outcome]":
    future: Future[Outcome] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def open_with(transport: Transport, name: str, *, key: str = "holder") -> Batch:
    """Open a batch that has reserved an email."""
    batch = transport.batches.open(key, "fail")
    transport.batches.reserve(batch.batch_id, 0, checked_users(name))
    return batch


def wait_for_the_next_millisecond(batch: Batch) -> None:
    """Wait until a batch that is opened now is the later one: times have milliseconds."""
    wait_until(lambda: datetime.now(UTC) >= batch.opened_at + timedelta(milliseconds=1))


def accounts(transport: Transport) -> list[str]:
    users = list_accounts(transport)
    return [user.email.partition("@")[0] for user in users]


def codes(refused: BaseException | None) -> list[tuple[int | None, str]]:
    assert isinstance(refused, BatchRefused)
    return [(problem.index, problem.code) for problem in refused.problems]


# Two batches


def test_the_later_batch_releases_its_emails_and_reports_the_existing_ones(
    deployment: Deployment, transport: Transport
) -> None:
    earlier = open_with(transport, "e", key="earlier")
    wait_for_the_next_millisecond(earlier)
    waiting = threading.Event()

    later = in_background(
        lambda: run_batch(deployment, users_to_create(*"abcde"), log=lambda _: waiting.set())
    )
    assert waiting.wait(30)

    # It has released its emails, so that the earlier batch gets the rest.
    wait_until(
        lambda: transport.batches.reserve(earlier.batch_id, 1, checked_users("a")).conflicts == 0
    )
    batch = next(
        batch
        for batch in transport.batches.list(open_only=False, before="", limit=100)
        if batch.batch_id != earlier.batch_id
    )
    assert (batch.state, batch.users) == ("open", 0)
    assert not later.done()
    transport.batches.publish(earlier.batch_id, 2)

    assert codes(later.exception(30)) == [(0, "email_exists"), (4, "email_exists")]
    assert transport.batches.show(batch.batch_id).state == "dropped"
    assert sorted(accounts(transport)) == ["a", "e"]


def test_the_earlier_batch_waits_and_keeps_its_emails(
    deployment: Deployment, transport: Transport
) -> None:
    earlier = transport.batches.open("run", "fail")
    wait_for_the_next_millisecond(earlier)
    later = open_with(transport, "e", key="later")
    waiting = threading.Event()

    run = in_background(
        lambda: run_batch(deployment, users_to_create(*"abcde"), log=lambda _: waiting.set())
    )
    assert waiting.wait(30)  # it would have released its emails before it logs this

    assert transport.batches.show(earlier.batch_id).users == 4
    assert transport.batches.reserve(later.batch_id, 1, checked_users("a")).holders == [
        earlier.batch_id
    ]
    assert not run.done()
    transport.batches.release(later.batch_id)

    assert run.result(30).created == 5
    assert transport.batches.reserve(later.batch_id, 0, checked_users("e")).conflicts == 1
    assert transport.batches.conflicts(later.batch_id)[0].kind == "exists"


def test_the_later_batch_succeeds_if_the_earlier_one_is_dropped(
    deployment: Deployment, transport: Transport
) -> None:
    earlier = open_with(transport, "e", key="earlier")
    waiting = threading.Event()
    users = users_to_create(*"abcde", password=PASSWORD)
    later = in_background(lambda: run_batch(deployment, users, log=lambda _: waiting.set()))
    assert waiting.wait(30)

    transport.batches.drop(earlier.batch_id)

    assert later.result(30).created == 5
    assert accounts(transport) == list("abcde")


def test_skip_waits_for_reserved_emails_and_skips_them_once_they_exist(
    deployment: Deployment, transport: Transport
) -> None:
    earlier = open_with(transport, "c", key="earlier")
    waiting = threading.Event()
    later = in_background(
        lambda: run_batch(
            deployment, users_to_create(*"abcde"), if_exists="skip", log=lambda _: waiting.set()
        )
    )
    assert waiting.wait(30)
    transport.batches.publish(earlier.batch_id, 1)

    outcome = later.result(30)

    assert (outcome.created, outcome.skipped) == (4, 1)
    assert sorted(accounts(transport)) == list("abcde")


def test_a_small_batch_waits_for_reserved_emails(
    deployment: Deployment, transport: Transport
) -> None:
    holder = open_with(transport, "a")
    waiting = threading.Event()
    users = users_to_create("a", "b", password=PASSWORD)
    small = in_background(lambda: run_batch(deployment, users, log=lambda _: waiting.set()))
    assert waiting.wait(30)
    assert not small.done()

    transport.batches.release(holder.batch_id)

    assert small.result(30).created == 2
    assert accounts(transport) == ["a", "b"]


@pytest.mark.parametrize("names", ["ab", "abcdefg"], ids=["small", "large"])
def test_a_waiting_batch_logs_which_batch_it_waits_for(
    deployment: Deployment, transport: Transport, names: str
) -> None:
    holder = open_with(transport, "b")
    log_lines: list[str] = []

    waiting = in_background(
        lambda: run_batch(deployment, users_to_create(*names), log=log_lines.append)
    )
    wait_until(lambda: log_lines)
    transport.batches.release(holder.batch_id)

    assert waiting.result(30).created == len(names)
    (line,) = log_lines
    end = f"batch {holder.batch_id}, opened by {holder.opened_by}, which has reserved some of these"
    assert re.fullmatch(rf"Waiting at most (60|5\d) s for {end} emails\.\.\.", line)


def test_a_run_logs_once_which_batch_it_waits_for_however_often_it_waits(
    transport: Transport,
) -> None:
    open_with(transport, "b")
    conflicts = transport.batches.look_up(checked_users("b"), 0)
    log_lines: list[str] = []
    rules = EmailConflicts(
        transport.batches, "fail", lambda _: nullcontext(False), log_lines.append, 0, str
    )

    for _ in range(2):
        rules.wait(conflicts)

    assert len(log_lines) == 1


def test_the_time_to_wait_begins_with_the_first_conflict(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_with(transport, "b")
    conflicts = transport.batches.look_up(checked_users("b"), 0)
    seconds = 0.0
    monkeypatch.setattr(email_conflicts, "time", SimpleNamespace(monotonic=lambda: seconds))
    rules = EmailConflicts(
        transport.batches, "fail", lambda _: nullcontext(False), lambda _: None, 60, str
    )

    seconds = 3_600.0  # a large file was read for an hour
    assert not rules.are_final(conflicts)
    seconds = 3_659.0
    assert not rules.are_final(conflicts)
    seconds = 3_660.0
    assert rules.are_final(conflicts)


def test_an_existing_account_is_reported_without_waiting_for_reserved_emails(
    deployment: Deployment, transport: Transport
) -> None:
    transport.batches.create("accounts", checked_users("b", "g"), "fail")
    open_with(transport, "a")
    for names in ("ab", "abcdefg"):
        began = time.monotonic()
        with pytest.raises(BatchRefused) as refused:
            run_batch(deployment, users_to_create(*names))
        found = codes(refused.value)
        assert found[:2] == [(0, "email_reserved"), (1, "email_exists")]
        assert found[2:] == [(6, "email_exists")][: len(names) // 7]
        assert time.monotonic() - began < 20


# A batch that does not end


@pytest.mark.parametrize("names", ["ab", "abcdefg"], ids=["small", "large"])
@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_a_batch_that_does_not_end_is_named_with_its_owner_and_time(
    deployment: Deployment, transport: Transport, names: str, if_exists: str
) -> None:
    holder = open_with(transport, "b")
    began = time.monotonic()
    log_lines: list[str] = []

    with pytest.raises(BatchRefused) as refused:
        run_batch(
            deployment,
            users_to_create(*names),
            if_exists=if_exists,
            hasty=True,
            log=log_lines.append,
        )

    (problem,) = refused.value.problems
    assert time.monotonic() - began >= 0.3
    assert (problem.index, problem.field, problem.code) == (1, "email", "email_reserved")
    email = users_to_create("b")[0].email
    assert problem.detail == (
        f"'{email}' is reserved by the unfinished batch {holder.batch_id}, which "
        f"{holder.opened_by} opened at {holder.opened_at:%Y-%m-%d %H:%M:%S} UTC: let it end, or "
        "drop it by `anyscale batch drop`"
    )
    assert log_lines[-1] == (
        f"Batch {holder.batch_id} has reserved some of these emails, and was last active at "
        f"{holder.touched_at:%Y-%m-%d %H:%M:%S} UTC. You opened it: run that file again, or drop "
        f"it by `drop {holder.batch_id}`."
    )
    assert not refused.value.input_is_at_fault
    # The refused batch is gone, and the other one is complete.
    open_ones = [
        batch
        for batch in transport.batches.list(open_only=False, before="", limit=100)
        if batch.state == "open"
    ]
    assert [(batch.batch_id, batch.users) for batch in open_ones] == [(holder.batch_id, 1)]
    assert transport.batches.publish(holder.batch_id, 1).users == 1


def test_the_first_batches_that_are_still_open_are_described(transport: Transport) -> None:
    names = "bcdefgh"
    holders = [open_with(transport, name, key=name) for name in names]
    conflicts = [
        conflict
        for position, name in enumerate(names)
        for conflict in transport.batches.look_up(checked_users(name), position)
    ]
    transport.batches.publish(holders[0].batch_id, 1)
    transport.batches.drop(holders[1].batch_id)
    lines: list[str] = []
    rules = EmailConflicts(
        transport.batches, "fail", lambda _: nullcontext(False), lines.append, 0, DROP
    )

    rules.log_holders(conflicts)

    described = [re.findall(r"Batch (\w+) has reserved", line) for line in lines]
    assert described == [[holder.batch_id] for holder in holders[2:5]]


def test_a_batch_that_cannot_be_shown_does_not_hide_the_problems(transport: Transport) -> None:
    conflict = Conflict(position=0, email="a@b.io", kind="reserved", holder="bat_none")
    lines: list[str] = []
    rules = EmailConflicts(
        transport.batches, "fail", lambda _: nullcontext(False), lines.append, 0, DROP
    )

    rules.log_holders([conflict])

    assert lines == []


@pytest.mark.parametrize("names", ["ab", "abcdefg"], ids=["small", "large"])
@pytest.mark.parametrize("field", ["email", "external_id", "sub"])
def test_an_abandoned_batch_is_dropped(
    deployment: Deployment, transport: Transport, names: str, field: str
) -> None:
    users = users_to_create(*names)
    same = {field: users[1].email if field == "email" else "0042"}
    users[1] = msgspec.structs.replace(AdminImportUser("Jane", users[1].email), **same)
    holder = transport.batches.open("holder", "fail")
    (reserved,) = checked_users("b" if field == "email" else "b.typing.error")
    transport.batches.reserve(holder.batch_id, 0, [msgspec.structs.replace(reserved, **same)])
    log_lines: list[str] = []

    outcome = run_batch(
        deployment,
        users,
        is_abandoned=lambda batch_id: nullcontext(batch_id == holder.batch_id),
        log=log_lines.append,
        hasty=True,
    )

    assert outcome.created == len(names)
    assert transport.batches.show(holder.batch_id).state == "dropped"
    assert [line for line in log_lines if holder.batch_id in line] == [
        f"Dropped the unfinished batch {holder.batch_id}, which had reserved some of these emails."
    ]


@pytest.mark.parametrize("names", ["ab", "abcdefg"], ids=["small", "large"])
def test_an_email_of_a_batch_that_was_published_meanwhile_exists(
    deployment: Deployment, transport: Transport, names: str
) -> None:
    open_with(transport, "b")
    log_lines: list[str] = []

    @contextmanager
    def abandoned(batch_id: str) -> Iterator[bool]:
        transport.batches.publish(batch_id, 1)  # another process resumes it at the same moment
        yield True

    with pytest.raises(BatchRefused) as refused:
        run_batch(deployment, users_to_create(*names), is_abandoned=abandoned, log=log_lines.append)

    assert codes(refused.value) == [(1, "email_exists")]
    assert not any("Dropped" in line for line in log_lines)
    assert accounts(transport) == ["b"]


# Many batches


def who_exists(refused: BatchRefused, names: list[str]) -> list[str]:
    """Give the emails that the error reports as existing; it may also name reserved ones."""
    found: dict[str, list[str]] = {"email_exists": [], "email_reserved": []}
    for problem in refused.problems:
        assert problem.index is not None
        assert names[problem.index] in problem.detail
        found[problem.code].append(names[problem.index])
    return found["email_exists"]


def check_the_outcomes(
    transport: Transport, lists: list[list[str]], outcomes: list[list[str] | int]
) -> None:
    """Compare the result of each batch with the accounts."""
    live = accounts(transport)
    assert len(live) == len(set(live))
    created = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert any(created)
    assert sum(created) == len(live)
    for names, outcome in zip(lists, outcomes, strict=True):
        if isinstance(outcome, list):
            assert outcome
            assert set(outcome) <= set(names) & set(live)
    batches = transport.batches.list(open_only=False, before="", limit=100)
    assert {batch.state for batch in batches} <= {"published", "dropped"}
    assert sum(batch.users for batch in batches) == len(live)
    assert transport.batches.look_up(checked_users("nobody"), 0) == []


@pytest.fixture
def each_once(store_kind: str, new_deployment: NewDeployment) -> Iterator[Deployment]:
    """Each transport and each store once."""
    with new_deployment(over_http=store_kind == "postgres") as deployment:
        yield deployment


@pytest.mark.both_stores
def test_eight_threads_with_overlapping_lists_create_each_email_once(
    each_once: Deployment,
) -> None:
    random = Random(0)
    lists = [random.sample([f"u{n}" for n in range(400)], 100) for _ in range(8)]
    policy = msgspec.structs.replace(PATIENT, chunk_users=25)
    start = threading.Barrier(8)

    def run(at: int) -> list[str] | int:
        with closing(each_once.transport(policy)) as transport:
            batch = BatchRun(
                transport,
                ListSource(users_to_create(*lists[at])),
                OnceKey(f"key-{at}"),
                if_exists="skip" if at % 2 else "fail",
                drop_command=DROP,
            )
            start.wait(60)
            try:
                outcome = batch.run()
            except BatchRefused as refused:
                return who_exists(refused, lists[at])
            users = list(outcome.users)
            assert len(users) == outcome.created
            assert outcome.created + outcome.skipped == 100
            passed_over = {conflict.position for conflict in outcome.skipped_entries()}
            names = [name for n, name in enumerate(lists[at]) if n not in passed_over]
            assert [user.email for user in users] == [f"{name}@example.com" for name in names]
            return outcome.created

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(run, range(8)))

    with closing(each_once.transport(policy)) as transport:
        check_the_outcomes(transport, lists, outcomes)


PROCESS = """
import json, sys
import anyscale
from anyscale.errors import BatchRefused
from anyscale.domain.models.users import AdminCreateUser
from anyscale.domain.models.batches import Batch, Conflict

names = json.load(sys.stdin)
users = [AdminCreateUser("Jane", f"{name}@example.com") for name in names]
try:
    created = anyscale.user.admin_batch_create(users, if_exists=sys.argv[1])
    reported = len(created)
    assert reported + len(created.skipped) == len(names)
except BatchRefused as refused:
    reported = [names[p.index] for p in refused.problems if p.code == "email_exists"]
print(json.dumps(reported))
"""


def test_four_processes_with_overlapping_lists_create_each_email_once(data: Path) -> None:
    random = Random(7)
    # Large batches of more than a thousand users, and small ones, which are one request.
    lists = [
        random.sample([f"u{n}" for n in range(3_000)], count) for count in (1_500, 1_500, 600, 600)
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, if_exists],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for if_exists in ("fail", "skip", "fail", "skip")
    ]
    with ThreadPoolExecutor(4) as pool:
        ends = list(
            pool.map(
                lambda process, names: process.communicate(names), processes, map(json.dumps, lists)
            )
        )
    assert [errors for _, errors in ends] == [""] * 4

    data.parent.joinpath("data").symlink_to(data)
    with closing(embedded_transport(data.parent)) as transport:
        check_the_outcomes(transport, lists, [json.loads(output) for output, _ in ends])
