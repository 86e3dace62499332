"""How far work is: its rate, its bar, and the size of what is sent at a time."""

import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from anyscale import progress
from anyscale.batch_run import bounded_executor, password_upload
from anyscale.batch_run.bounded_executor import BoundedExecutor
from anyscale.batch_run.password_upload import ChunkSize
from anyscale.batch_run.recent_rate import RecentRate
from anyscale.progress import ProgressDisplay
from anyscale.transport.base import Outage


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (progress, password_upload):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))
    return clock


def outage_since(moment: float) -> Outage:
    return Outage("no response from a", moment, 100)


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = RecentRate(seconds=10)

    assert rate.add(0, 0.0) == 0
    assert rate.add(10, 1.0) == 10
    for second in range(2, 30):
        last = rate.add(10 + 50 * (second - 1), float(second))
    assert last == 50


def test_a_rate_does_not_fall_between_two_steps_but_in_an_outage() -> None:
    rate = RecentRate(seconds=10)
    rate.add(0, 0.0)
    rate.add(30, 3.0)

    assert rate.add(30, 4.9) == 10
    assert rate.add(30, 8.0) == 5
    assert rate.seconds_since_step(8.0) == 5


@pytest.mark.parametrize(
    ("speed", "size"), [(0.1, 8), (10, 8), (80, 40), (200, 100), (5_000, 128), (1_000_000, 128)]
)
def test_a_chunk_has_the_passwords_that_are_hashed_in_half_a_second(
    speed: float, size: int, clock: Clock
) -> None:
    chunk = ChunkSize(128)
    assert chunk.next() == 8

    for _ in range(20):
        sent = chunk.next()
        clock.now += sent / speed
        chunk.add(sent)

    assert chunk.next() == pytest.approx(size, abs=1)


def test_chunks_become_small_when_hashing_becomes_slow(clock: Clock) -> None:
    chunk = ChunkSize(128)
    for speed in (1_000, 20):
        for _ in range(20):
            sent = chunk.next()
            clock.now += sent / speed
            chunk.add(sent)

    assert chunk.next() == pytest.approx(10, abs=1)


def test_a_resumed_run_sends_stored_passwords_in_large_chunks_and_then_small_ones(
    clock: Clock,
) -> None:
    chunk, sizes = ChunkSize(128, stored=300), []
    for _ in range(7):
        sizes.append(chunk.next())
        chunk.add(0)

    assert sizes == [8, 16, 32, 64, 128, 52, 8]


def test_a_run_that_skips_users_sends_small_chunks_once_it_hashes(clock: Clock) -> None:
    chunk, sizes = ChunkSize(128, stored=300), []
    for hashed in (0, 0, 8, 8):
        clock.now += 1.0 if hashed else 0.001
        chunk.add(hashed)
        sizes.append(chunk.next())

    assert sizes == [16, 32, 8, 8]


def test_a_chunk_has_no_more_passwords_than_the_control_plane_takes(clock: Clock) -> None:
    assert ChunkSize(2).next() == 2


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def show(lines: list[str]) -> Callable[[str, int, int, int], None]:
    return ProgressDisplay(lines.append).show


def test_a_line_has_the_rate_of_users_and_the_time_left(
    clock: Clock, show: Callable[[str, int, int, int], None], lines: list[str]
) -> None:
    for second in range(21):
        clock.now = 100.0 + second
        show("Reading", 1_000 * second, 40_000, 30 * second)

    assert lines == ["Reading: 25%, 30 a second, 30 s left", "Reading: 50%, 30 a second, 20 s left"]


def test_the_time_left_runs_between_two_steps(
    clock: Clock, show: Callable[[str, int, int, int], None], lines: list[str]
) -> None:
    show("Hashing", 0, 100, 0)
    clock.now += 9
    show("Hashing", 9, 100, 9)
    clock.now += 1.5
    show("Hashing", 9, 100, 9)

    assert lines == ["Hashing: 9%, 1 a second, 90 s left"]


def test_a_line_has_no_rate_as_long_as_none_is_known(
    clock: Clock, show: Callable[[str, int, int, int], None], lines: list[str]
) -> None:
    show("Hashing", 0, 100, 0)
    clock.now += 10
    show("Hashing", 0, 100, 0)
    show("Reading", 0, 0, 0)

    assert lines == ["Hashing: 0%"]


def test_a_line_has_no_rate_while_a_call_is_repeated_and_then_a_new_one(
    clock: Clock, lines: list[str]
) -> None:
    display = ProgressDisplay(lines.append)
    done = 0
    for second in range(61):
        clock.now = 100.0 + second
        if second in (16, 21, 26, 31, 36):
            display.note_outage(outage_since(115.0))
        if not 15 < second <= 41:
            done += 10 if second < 41 else 20
        display.show("Hashing", done, 4_000, done)

    assert lines == [
        "Hashing: 2%, 10 a second, 389 s left",
        "Hashing: 4%, no response from a for 5 s, gives up at 100 s",
        "Hashing: 4%, no response from a for 15 s, gives up at 100 s",
        "Hashing: 4%, no response from a for 25 s, gives up at 100 s",
        "Hashing: 8%, 20 a second, 183 s left",
        "Hashing: 13%, 20 a second, 173 s left",
    ]


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_a_bar_of_any_width_says_how_far_work_is_and_how_long_it_waits_for_a_response(
    clock: Clock, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(progress, "can_draw", lambda: True)
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    display = ProgressDisplay(pytest.fail)
    for done in (0, 10, 20, 20):
        clock.now += 2
        display.show("Hashing", done, 100, done)
    display.note_outage(outage_since(clock.now - 5))
    clock.now += 35
    display.show("Hashing", 20, 100, 20)
    drawn = screen.getvalue().split("\r")
    texts = "".join(re.split(r"\x1b\[[0-9;]*[mK]", drawn[-2]))
    assert re.fullmatch(r"Hashing [━╸╺ ]+ 20% 5/s 0:00:14 left", texts)
    assert "waiting: 40 of 100 s" in drawn[-1]
    assert "/s" not in drawn[-1]
    assert "left" not in drawn[-1]


def test_two_steps_in_quick_succession_after_an_outage_make_no_rate(
    clock: Clock, lines: list[str]
) -> None:
    """The calls that waited end together once the server is back."""
    display = ProgressDisplay(lines.append)
    for moment, done in ((0.0, 0), (5.0, 50)):
        clock.now = 100.0 + moment
        display.show("Hashing", done, 1_000, done)
    display.note_outage(outage_since(clock.now))
    for moment, done in ((9.995, 114), (10.0, 178)):
        clock.now = 100.0 + moment
        display.show("Hashing", done, 1_000, done)
    clock.now = 120.0
    display.show("Hashing", 278, 1_000, 278)

    assert lines == ["Hashing: 17%", "Hashing: 27%, 10 a second, 72 s left"]


def test_a_step_during_an_outage_does_not_bring_the_rate_back(
    clock: Clock, lines: list[str]
) -> None:
    """A server that stops still ends the calls in progress."""
    display = ProgressDisplay(lines.append)
    for second in range(11):
        clock.now = 100.0 + second
        display.show("Hashing", min(second, 7), 100, min(second, 7))
        if second > 4:
            display.note_outage(outage_since(clock.now))

    assert lines == ["Hashing: 7%, no response from a for 1 s, gives up at 100 s"]


def test_a_rate_goes_on_if_other_calls_succeed_while_one_is_repeated(
    clock: Clock, lines: list[str]
) -> None:
    display = ProgressDisplay(lines.append)
    for second in range(21):
        clock.now = 100.0 + second
        display.show("Hashing", second * 10, 1_000, second * 10)
        clock.now += 0.5
        display.note_outage(outage_since(clock.now))

    assert lines == ["Hashing: 10%, 10 a second, 90 s left", "Hashing: 20%, 10 a second, 80 s left"]


def test_an_interrupted_run_abandons_a_call_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_executor, "_GRACE", 0.05)
    never, cancelled, messages = threading.Event(), threading.Event(), list[str]()
    started = threading.Event()
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        started.set()
        never.wait()

    def run() -> None:
        with BoundedExecutor[None](2, cancelled.set, messages.append) as executor:
            executor.submit(call)
            executor.submit(lambda: None)
            assert started.wait(30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    was_in_progress = [thread.is_alive() for thread in threads]
    never.set()

    assert was_in_progress == [True]
    assert messages == [
        "Stopping after the requests in progress: press Ctrl-C again to exit at once..."
    ]
    assert cancelled.is_set()
    assert [thread.daemon for thread in threads] == [True]


def test_a_generator_that_is_closed_abandons_a_call_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_executor, "_GRACE", 0.05)
    never, ended, messages = threading.Event(), list[bool](), list[str]()

    def results() -> Iterator[int]:
        with BoundedExecutor[None](2, lambda: None, messages.append) as executor:
            executor.submit(lambda: ended.append(never.wait(5)))
            yield 1
            yield 2

    iterator = results()
    assert next(iterator) == 1
    del iterator  # as a loop does after `break`

    assert (ended, messages) == ([], [])
    never.set()


def test_a_run_that_fails_waits_for_its_calls() -> None:
    is_failing, ended = threading.Event(), list[bool]()

    def call() -> None:
        is_failing.wait(30)
        time.sleep(0.05)  # a moment longer than the block
        ended.append(True)

    def run() -> None:
        with BoundedExecutor[None](2, is_failing.set, print) as executor:
            executor.submit(call)
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        run()
    assert ended == [True]


def test_a_run_that_waits_can_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_executor, "_TICK", 0.01)
    waited = threading.Event()

    with BoundedExecutor[bool](1, lambda: None, print, waited.set) as executor:
        executor.submit(lambda: waited.wait(30))
        assert executor.drain() == [True]
