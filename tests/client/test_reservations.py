"""The emails of a batch are reserved chunk by chunk, and only as long as nothing is wrong."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec import structs
from tests.support.run_keys import OnceKey
from tests.support.servers.control_planes import embedded_transport
from tests.support.users import checked_users, list_accounts, users_to_create

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.domain.models.batches import ReservedChunk
from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused, BatchUnfinished, KeyReused, Unavailable
from anyscale.transport.base import Transport
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminCreateUser
from anyscale.users_file import UsersFile

#: four chunks of three users
NAMES = "abcdefghijkl"


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    with closing(embedded_transport(tmp_path)) as transport:
        yield transport


def refused(
    transport: Transport,
    users: list[AdminCreateUser],
    monkeypatch: pytest.MonkeyPatch,
    if_exists: str = "fail",
) -> tuple[list[int], list[tuple[int | None, str]]]:
    """Run a batch that is refused; return the chunks that were reserved, and the problems."""
    reserve, reserved = transport.batches.reserve, []

    def note(batch_id: str, number: int, users: Sequence[CheckedUser]) -> ReservedChunk:
        reserved.append(number)
        return reserve(batch_id, number, users)

    monkeypatch.setattr(transport.batches, "reserve", note)
    run = BatchRun(
        transport,
        ListSource(users),
        OnceKey("run"),
        if_exists=if_exists,
        drop_command=str,
        is_abandoned=lambda _: nullcontext(False),
        log=lambda _: None,
    )
    with pytest.raises(BatchRefused) as caught:
        run.run()
    return reserved, [(problem.index, problem.code) for problem in caught.value.problems]


def test_no_chunk_is_reserved_after_a_wrong_entry(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = users_to_create(*NAMES)
    users[4] = AdminCreateUser("Jane", "foo")
    users[11] = AdminCreateUser("Jane", "bar")
    reserved, problems = refused(transport, users, monkeypatch)
    assert reserved == [0]
    assert problems == [(4, "email_invalid"), (11, "email_invalid")]


def test_no_chunk_is_reserved_after_one_that_met_another_batch(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = transport.batches.open("other", "fail")
    transport.batches.reserve(other.batch_id, 0, checked_users("b", "l"))
    reserved, problems = refused(transport, users_to_create(*NAMES), monkeypatch)
    # The second chunk is under way when the response for the first one comes.
    assert reserved == [0, 1]
    assert problems == [(1, "email_reserved"), (11, "email_reserved")]


def test_problems_of_all_kinds_are_in_the_order_of_the_entries(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport.batches.create("earlier", checked_users("b"), "fail")
    own, other = transport.batches.open("run", "fail"), transport.batches.open("other", "fail")
    transport.batches.reserve(own.batch_id, 9, checked_users("a"))
    transport.batches.reserve(other.batch_id, 0, checked_users("c"))
    _, problems = refused(transport, users_to_create(*NAMES), monkeypatch)
    assert problems == [(0, "email_duplicate"), (1, "email_exists"), (2, "email_reserved")]


@pytest.mark.parametrize("small_users", [1_000, 0])
def test_emails_that_exist_are_named_with_the_wrong_entries(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, small_users: int
) -> None:
    policy = structs.replace(transport.policy(), small_users=small_users)
    monkeypatch.setattr(transport, "policy", lambda: policy)
    transport.batches.create("earlier", checked_users("b", "k"), "fail")
    users = users_to_create(*NAMES)
    for index in (0, 4, 11):
        users[index] = AdminCreateUser("Jane", "foo")
    _, problems = refused(transport, users, monkeypatch)
    invalid, exists = "email_invalid", "email_exists"
    assert problems == [(0, invalid), (4, invalid), (11, invalid), (1, exists), (10, exists)]
    _, of_skipping = refused(transport, users, monkeypatch, "skip")
    assert of_skipping == [(0, invalid), (4, invalid), (11, invalid)]


def test_a_limit_of_processes_lets_a_run_make_one_call_at_a_time(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    users = ListSource(users_to_create(*NAMES))
    run = BatchRun(transport, users, OnceKey("run"), if_exists="fail", drop_command=str)
    assert run.run().created == len(NAMES)


def test_a_control_plane_that_stops_responding_hides_no_wrong_entry(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_response(*_: object) -> NoReturn:
        raise Unavailable("no response")

    monkeypatch.setattr(transport.batches, "look_up", lose_response)
    users = users_to_create(*NAMES)
    users[0] = AdminCreateUser("Jane", "foo")
    assert refused(transport, users, monkeypatch)[1] == [(0, "email_invalid")]


def test_a_small_batch_that_was_begun_chunk_by_chunk_is_continued(transport: Transport) -> None:
    begun = transport.batches.open("run", "fail")
    transport.batches.reserve(begun.batch_id, 0, checked_users("a", "b"))

    def run(*names: str) -> Outcome:
        source = ListSource(users_to_create(*names))
        return BatchRun(transport, source, OnceKey("run"), if_exists="fail", drop_command=str).run()

    with pytest.raises(KeyReused):
        run("a", "c")
    outcome = run("a", "b")

    assert outcome.batch
    assert (outcome.batch.batch_id, outcome.batch.state) == (begun.batch_id, "published")
    assert [user.email for user in outcome.users] == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("count", [2, 12])
def test_a_file_that_is_written_while_it_is_read_creates_nobody(
    transport: Transport, tmp_path: Path, count: int, dry_run: bool
) -> None:
    path = tmp_path / "users.csv"
    lines = [f"Jane,u{at}@example.com\n" for at in range(count)]
    path.write_text("".join(["name,email\n", *lines[:-1]]))
    with UsersFile.open(str(path)) as file:
        with path.open("a") as still_written:
            still_written.write(lines[-1])
        run = BatchRun(transport, file, OnceKey("run"), if_exists="fail", drop_command=str)
        with pytest.raises(BatchUnfinished, match="was changed while it was being read"):
            run.dry_run() if dry_run else run.run()
    assert list_accounts(transport) == []


def test_a_batch_whose_publication_lost_its_response_is_not_named_as_open(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = transport.batches.publish

    def lose_response(batch_id: str, entries: int, **_: object) -> NoReturn:
        publish(batch_id, entries)
        raise Unavailable("no response", outcome_unknown=True)

    monkeypatch.setattr(transport.batches, "publish", lose_response)
    run = BatchRun(
        transport,
        ListSource(users_to_create(*NAMES)),
        OnceKey("run"),
        if_exists="fail",
        drop_command=str,
    )
    with pytest.raises(BatchUnfinished, match="is published: its users are accounts") as caught:
        run.run()
    assert caught.value.batch_id is None
