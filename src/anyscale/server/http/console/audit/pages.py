"""/console/audit: the audit log with filters, the check of its chain, and its download."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, tzinfo
from functools import cache, partial
from itertools import groupby
from typing import Annotated, Any

from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter, RawBody
from litestar.response import Stream
from msgspec import Raw, Struct, structs

from anyscale.domain.audit_chain import HEAD, AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.errors import RequestInvalid
from anyscale.server.core.audit.entries import AUDIT_EXPORTED, AuditLog
from anyscale.server.core.audit.names import EntryNames
from anyscale.server.core.audit.runs import Run
from anyscale.server.core.audit.verification import verify_next_slice
from anyscale.server.core.search import UserListing
from anyscale.server.http.console.audit.entries import ShownEntry, party, shown_runs
from anyscale.server.http.console.audit.filters import PATH, PERIODS, LogFilters, read_filters
from anyscale.server.http.console.audit.people import Found, find_people
from anyscale.server.http.console.audit.sentences import label_of
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.records_file import RecordsFile, Rows, while_permitted

#: entries of a page, and of a read of a download
_PAGE = 50
_READ = 1_000

#: the largest number that an address may name
_MOST = 2**53

Number = Annotated[int | None, QueryParameter(ge=0, le=_MOST)]

_FILTERS = {"filters": Provide(read_filters, sync_to_thread=False)}


class _Listed(Struct, frozen=True):
    """A page of the log, the newest first, and the addresses of the pages around it."""

    runs: Sequence[Run]
    first: str = ""
    previous: str = ""
    next: str = ""
    last: str = ""


class Chip(Struct, frozen=True):
    """A filter that is set."""

    text: str
    #: the address of the page without it
    without: str
    #: the page of what it names; empty if there is none
    href: str = ""


@get("/audit", pool="read", dependencies=_FILTERS)
def show_audit_log(
    request: UserRequest,
    audit_log: NamedDependency[AuditLog],
    listing: NamedDependency[UserListing],
    filters: NamedDependency[LogFilters],
    before: Number = None,
    after: Number = None,
) -> Page:
    found = find_people(audit_log, listing, filters)
    is_listed = not found.problems and not found.choices
    listed = _listed(audit_log, found.filters, before, after) if is_listed else _Listed([])
    return _page(request, audit_log, found, listed, status=_status(found))


def _status(found: Found) -> int:
    if not found.problems:
        return 200
    return 404 if "q" in dict(found.problems).values() else 400


@post("/audit/verify", pool="read", status_code=200)
def verify_audit_log(
    request: UserRequest,
    body: RawBody,
    audit_log: NamedDependency[AuditLog],
) -> Page:
    """Check a slice of the chain; the page continues by itself, or by its button."""
    head, noted = (text.strip() for text in read_form(request, body, "head", "noted"))
    if not all(re.fullmatch(HEAD, text) for text in (head, noted) if text):
        raise RequestInvalid(
            "a head of the audit log is a number, a colon and 64 hexadecimal digits"
        )
    done = verify_next_slice(audit_log, head, noted)
    problems = [(f"The audit log is damaged: {done.fault}.", "")] if done.fault else []
    module = "" if done.is_last else "audit.js"
    shown: dict[str, Any] = {"module": module, "problems": problems}
    return render_console_page(request, "audit/verification", PATH, done=done, noted=noted, **shown)


@get("/audit/download", dependencies=_FILTERS)
async def download_audit_log(
    request: UserRequest,
    audit_log: NamedDependency[AuditLog],
    listing: NamedDependency[UserListing],
    pools: NamedDependency[ThreadPools],
    filters: NamedDependency[LogFilters],
) -> Stream:
    found = await pools.read.run(find_people, audit_log, listing, filters)
    if found.problems or found.choices:
        raise RequestInvalid(found.problems[0][0] if found.problems else "choose one of the users")
    only = found.filters.only
    details = {"format": "jsonl", "filtered": only != AuditFilter()}
    await pools.write.run(audit_log.record_export, AUDIT_EXPORTED, request.user, details)
    pages = while_permitted(request, _pages(audit_log, pools, only))
    return RecordsFile("audit-log", "jsonl", AuditEntry.__struct_fields__).stream(pages)


async def _pages(audit_log: AuditLog, pools: ThreadPools, only: AuditFilter) -> AsyncIterator[Rows]:
    """Give the entries as `anyscale audit list -o jsonl` writes them."""
    after = 0
    while entries := await pools.read.run(partial(audit_log.list, after, _READ, only=only)):
        yield [structs.asdict(one) | {"data": Raw(one.data.encode())} for one in entries]
        after = entries[-1].number


def _listed(
    audit_log: AuditLog, filters: LogFilters, before: int | None, after: int | None
) -> _Listed:
    """Return a page, by the number of an entry before or after it."""
    address = filters.address
    found = _read(audit_log, filters, before, after)
    if after is None:
        runs, is_first = found[:_PAGE], before is None
        has_older = len(found) > _PAGE
    else:
        runs, is_first = found[:_PAGE][::-1], len(found) <= _PAGE
        has_older = after > 0
    if not runs:
        return _Listed([], first="" if is_first else address())
    return _Listed(
        runs,
        first="" if is_first else address(),
        previous="" if is_first else address(after=runs[0].newest.number),
        next=address(before=runs[-1].oldest.number) if has_older else "",
        last=address(after=0) if has_older else "",
    )


def _read(
    audit_log: AuditLog, filters: LogFilters, before: int | None, after: int | None
) -> Sequence[Run]:
    """Return the lines of a page and one more: runs, or each entry where some are chosen."""
    only = filters.only
    if filters == filters.in_period:
        return audit_log.list_runs(_PAGE + 1, only, before=before, after=after)
    if after is None:
        found = audit_log.list(0, _PAGE + 1, before=before, newest_first=True, only=only)
    else:
        found = audit_log.list(after, _PAGE + 1, only=only)
    return [Run(entry, entry) for entry in found]


def _page(
    request: UserRequest, audit_log: AuditLog, found: Found, listed: _Listed, **shown: Any
) -> Page:
    filters = found.filters
    # Many entries of a page have the same actor and event.
    narrowed = cache(partial(_narrowed, filters.in_period))
    newest = [run.newest for run in listed.runs]
    names = audit_log.names(newest, filters.account, filters.actor, filters.subject)
    entries = shown_runs(listed.runs, names, narrowed)
    events = sorted({*audit_log.list_events(), *filter(None, [filters.event])}, key=label_of)
    return render_console_page(
        request,
        "audit/list",
        PATH,
        module="log.js",
        filters=filters,
        found=found,
        listed=listed,
        days=list(_by_day(entries, filters.tzinfo)),
        chips=list(_chips(filters, names)),
        narrowed=narrowed,
        one_by_one=partial(_one_by_one, filters),
        events=[("", "Anything"), *((event, label_of(event)) for event in events)],
        periods=PERIODS,
        download=filters.address(f"{PATH}/download"),
        problems=found.problems,
        **shown,
    )


def _by_day(
    entries: Sequence[ShownEntry], zone: tzinfo
) -> Iterator[tuple[date, list[tuple[str, ShownEntry]]]]:
    """Give each day, and the hour and minute of each of its entries."""
    times = [(entry.time.astimezone(zone), entry) for entry in entries]
    for day, of_day in groupby(times, lambda one: one[0].date()):
        yield day, [(f"{time:%H:%M}", entry) for time, entry in of_day]


def _chips(filters: LogFilters, names: EntryNames) -> Iterator[Chip]:
    for name, words in (("account", ""), ("actor", "Done by "), ("subject", "Done to ")):
        if text := getattr(filters, name):
            named = party(text, names)
            yield Chip(words + named.text, _without(filters, name), named.href)
    if filters.event:
        yield Chip(label_of(filters.event), _without(filters, "event"))
    if (filters.since or filters.until) and not filters.problems:
        yield Chip(_period(filters), _without(filters, "since", "until"))


def _without(filters: LogFilters, *names: str) -> str:
    return structs.replace(filters, **dict.fromkeys(names, "")).address()


def _period(filters: LogFilters) -> str:
    begin, end = (_day(text) if text else "" for text in (filters.since, filters.until))
    if not begin:
        return f"Until {end}"
    return f"{begin} to {end}" if end else f"From {begin}"


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day.day} {day:%B %Y}"


def _narrowed(period: LogFilters, name: str, value: str) -> str:
    """Return the address of the entries of one filter in a period."""
    return structs.replace(period, **{name: value}).address()


def _one_by_one(filters: LogFilters, run: Run) -> str:
    """Return the address of a list that begins with the entries of a run."""
    newest = run.newest
    chosen = structs.replace(filters.in_period, actor=newest.actor, event=newest.event)
    return chosen.address(before=newest.number + 1)


HANDLERS = [show_audit_log, verify_audit_log, download_audit_log]
