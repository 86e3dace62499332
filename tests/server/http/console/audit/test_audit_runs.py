"""The page of the audit log shows many entries in a row of one actor and one event as one line."""

import re
from html import unescape
from itertools import pairwise
from typing import NamedTuple

import pytest
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient, HttpResponse

from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.http.console.audit import pages
from anyscale.server.store.sql import audit

#: Entries of one actor and event after those of another one. A read of 60 ends in the run of 11.
LENGTHS = [1, 9, 10, 200, 2, 61, 1, 1, 60, 1, 1, 11, 55, 130, 9, 2, 1, 13]

#: the day on which the entries were written, one a minute
DAY = 1_600_000_000_000 // 86_400_000 * 86_400_000


class Line(NamedTuple):
    """A line of the page, by the numbers of its entries."""

    first: int
    last: int
    #: where the entries are one by one; empty for a single entry
    href: str


class Log(NamedTuple):
    """A log whose last entries are of runs."""

    jane: HttpClient
    #: the lines of the runs, the newest first
    lines: list[tuple[int, int]]


@pytest.fixture(scope="module")
def log(shared_console: Console) -> Log:
    jane = shared_console.browser()
    with shared_console.control_plane.store.write() as tx:
        newest = tx.audit.get_last()
        assert newest
        number, lines = newest.number, list[tuple[int, int]]()
        for turn, length in enumerate(LENGTHS):
            event = "account.suspended" if turn % 3 else "account.restored"
            entry = Entry(f"token:robot{turn % 2}", event, "usr_1", {})
            append_entries(tx, [entry] * length)
            ends = [(at, at) for at in range(number + 1, number + length + 1)]
            lines += ends if length < 10 else [(number + 1, number + length)]
            number += length
        execute_sql(tx, f"update audit set at = {DAY} + (number - {newest.number}) * 60000")
    return Log(jane, lines[::-1])


def listed(log: Log, address: str = "") -> HttpResponse:
    page = get(log.jane, address if address.startswith("/") else f"/console/audit{address}")
    assert page.status == 200
    return page


def lines_of(page: HttpResponse) -> list[Line]:
    """Return the lines of a page."""
    found = list[Line]()
    for text in page.text.partition('<ol class="log">')[2].split("<li>")[1:]:
        if one := re.search(r"of entry (\d+)</span>", text):
            found.append(Line(int(one[1]), int(one[1]), ""))
        elif run := re.search(r'<a href="(\S+)">Show each<.*of the entries (\d+) to (\d+)<', text):
            found.append(Line(int(run[2]), int(run[3]), unescape(run[1])))
    return found


def ends(page: HttpResponse) -> list[tuple[int, int]]:
    return [line[:2] for line in lines_of(page)]


def link(page: HttpResponse, text: str) -> str:
    found = re.search(rf'href="([^"]+)">{text}</a>', page.text)
    return unescape(found[1]) if found else ""


def sentences(page: HttpResponse) -> list[str]:
    found = re.findall(r"<div>\n<p>(.*?)</p>", page.text, re.DOTALL)
    return [" ".join(unescape(re.sub("<[^>]+>", "", one)).split()) for one in found]


def test_a_run_is_a_line_and_the_page_with_it_is_full(log: Log) -> None:
    page = listed(log)
    assert ends(page)[: len(log.lines)] == log.lines
    assert sentences(page)[0] == (
        "The token robot1 suspended 13 accounts, from 2020-09-13 09:16 UTC to 2020-09-13 09:28 UTC"
    )


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_in_both_directions_have_the_same_lines(
    log: Log, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(pages, "_PAGE", size)
    first = listed(log)
    older = [first]
    while len(older) < len(log.lines) // size:
        older.append(listed(log, link(older[-1], "Next")))
    assert [ends(page) for page in older] == [
        log.lines[at : at + size] for at in range(0, len(older) * size, size)
    ]
    for newer, page in pairwise(older):
        assert ends(listed(log, link(page, "Previous"))) == ends(newer)
    assert link(older[-1], "First") == "/console/audit"


def test_a_page_that_begins_inside_a_run_has_the_rest_of_it(log: Log) -> None:
    first, last = next(line for line in log.lines if line[1] - line[0] == 199)
    assert ends(listed(log, f"?before={first + 100}"))[0] == (first, first + 99)
    assert ends(listed(log, f"?before={first + 3}"))[:3] == [(first + at,) * 2 for at in (2, 1, 0)]
    assert (first + 51, last) in ends(listed(log, f"?after={first + 50}"))


def test_the_entries_of_a_run_are_listed_one_by_one(log: Log) -> None:
    run = next(line for line in lines_of(listed(log)) if line.last - line.first == 129)
    page = listed(log, run.href)
    newest = range(run.last, run.last - 50, -1)
    assert lines_of(page) == [Line(number, number, "") for number in newest]
    assert link(page, "Next")


def test_entries_are_one_by_one_where_some_are_chosen(log: Log) -> None:
    for chosen in (
        "event=account.restored",
        "actor=token:robot0",
        "subject=usr_1",
        "account=usr_1",
    ):
        assert all(first == last for first, last in ends(listed(log, f"?{chosen}")))


def test_a_run_ends_with_the_period(log: Log) -> None:
    """A day of Etc/GMT+2 begins at 02:00 UTC, inside the longest run."""
    first, last = next(line for line in log.lines if line[1] - line[0] == 199)
    zone = "zone=Etc/GMT%2B2"
    begin = log.lines[-1][0] - 1 + 2 * 60
    runs = ends(listed(log, f"?from=2020-09-13&{zone}"))
    assert runs[-1] == (begin, last)
    page = listed(log, f"?until=2020-09-12&{zone}")
    assert ends(page)[0] == (first, begin - 1)
    assert "until=2020-09-12" in lines_of(page)[0].href


def test_a_very_long_run_has_several_lines(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_MAX_RUN", 80)
    first, last = next(line for line in log.lines if line[1] - line[0] == 199)
    numbers = [
        number
        for begin, end in ends(listed(log, f"?before={last + 1}"))
        for number in range(end, begin - 1, -1)
    ]
    lines = [one for one in ends(listed(log, f"?before={last + 1}")) if one[0] >= first]
    assert numbers[:200] == [*range(last, first - 1, -1)]
    assert 2 <= len(lines) <= 3
