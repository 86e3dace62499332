"""Dates and times that people write."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from anyscale.domain.times import moment

BERLIN_IN_WINTER = timezone(timedelta(hours=1))


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone of this machine, by a rule of POSIX that needs no files."""
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_date_begins_with_its_first_moment_and_ends_with_the_next_day() -> None:
    assert moment("2026-10-31", UTC) == milliseconds("2026-10-31T00:00:00Z")
    assert moment("2026-10-31", UTC, is_end=True) == milliseconds("2026-11-01T00:00:00Z")
    assert moment("20261031", UTC, is_end=True) == milliseconds("2026-11-01T00:00:00Z")
    assert moment("2026-01-02", BERLIN_IN_WINTER) == milliseconds("2026-01-01T23:00:00Z")


def test_a_time_is_the_same_as_a_beginning_and_as_an_end() -> None:
    for text, meant in {
        "2026-10-31T08:30": "2026-10-31T08:30:00Z",
        "2026-10-31 08:30:05.250": "2026-10-31T08:30:05.250Z",
        "2026-10-31T08:30+02:00": "2026-10-31T06:30:00Z",
    }.items():
        for is_end in (False, True):
            assert moment(text, UTC, is_end=is_end) == milliseconds(meant)


@pytest.mark.usefixtures("new_york")
def test_without_a_zone_it_is_that_of_this_machine_on_that_day() -> None:
    assert os.environ["TZ"].startswith("EST")
    assert moment("2026-07-01", None) == milliseconds("2026-07-01T04:00:00Z")
    assert moment("2026-12-01", None) == milliseconds("2026-12-01T05:00:00Z")
    assert moment("2026-12-01T12:00Z", None) == milliseconds("2026-12-01T12:00:00Z")
    # The day on which the clock is set forward has 23 hours.
    length = moment("2026-03-08", None, is_end=True) - moment("2026-03-08", None)
    assert length == 23 * 60 * 60 * 1000


@pytest.mark.parametrize("text", ["", "1 Oct", "2026-02-30", "10/31/2026", "9999-12-31"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        moment(text, UTC, is_end=True)
