"""/console/audit: the audit log with filters, the check of its chain, and its download."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, RawBody
from litestar.response import Stream
from msgspec import Raw, Struct, structs

from anyscale.domain.audit_chain import HEAD, AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.times import from_milliseconds
from anyscale.errors import NotFound, RequestInvalid
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.audit.entries import AUDIT_EXPORTED, AuditLog
from anyscale.server.core.audit.verification import verify_next_slice
from anyscale.server.core.callers import user_actor
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.actors import emails_in
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.http.web.forms import read_form, sentence
from anyscale.server.http.web.records_file import RecordsFile, Rows, while_owner

__all__ = ["HANDLERS"]

_SECTION = "/console/audit"

#: entries of a page, and of a read of a download
_PAGE = 50
_READ = 1_000

#: the largest number that an address may name
_MOST = 2**53

_ACTOR_OF_USER = "user:"
_USER_ID = "usr_"

#: details that are times, in milliseconds
_TIMES = {"expires_at", "before"}

Number = Annotated[int | None, QueryParameter(ge=0, le=_MOST)]
Text = Annotated[str, QueryParameter(max_length=400)]


class _Listed(Struct, frozen=True):
    """A page of entries, the newest first, and the addresses of the pages around it."""

    entries: Sequence[AuditEntry]
    first: str = ""
    previous: str = ""
    next: str = ""
    last: str = ""


@get("/audit", pool="read")
def show_audit_log(
    request: UserRequest,
    audit_log: NamedDependency[AuditLog],
    users: NamedDependency[UserQueries],
    actor: Text = "",
    event: FromQuery[str] = "",
    subject: Text = "",
    before: Number = None,
    after: Number = None,
) -> Page:
    typed = AuditFilter(actor.strip(), event, subject.strip())
    only, problems = _resolved(audit_log, typed)
    listed = _Listed([]) if problems else _listed(audit_log, typed, only, before, after)
    return _page(
        request,
        audit_log,
        users,
        typed,
        listed,
        problems=problems,
        status=404 if problems else 200,
    )


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
    return render_console_page(
        request, "audit/verification", _SECTION, done=done, noted=noted, **shown
    )


@get("/audit/download")
async def download_audit_log(
    request: UserRequest,
    audit_log: NamedDependency[AuditLog],
    pools: NamedDependency[ThreadPools],
    actor: Text = "",
    event: FromQuery[str] = "",
    subject: Text = "",
) -> Stream:
    typed = AuditFilter(actor.strip(), event, subject.strip())
    only, problems = await pools.read.run(_resolved, audit_log, typed)
    if problems:
        raise RequestInvalid(problems[0][0])
    details = {"format": "jsonl", "filtered": only != AuditFilter()}
    await pools.write.run(audit_log.record_export, AUDIT_EXPORTED, request.user, details)
    pages = while_owner(request, _pages(audit_log, pools, only))
    return RecordsFile("audit-log", "jsonl", AuditEntry.__struct_fields__).stream(pages)


async def _pages(audit_log: AuditLog, pools: ThreadPools, only: AuditFilter) -> AsyncIterator[Rows]:
    """Give the entries as `anyscale audit list -o jsonl` writes them."""
    after = 0
    while entries := await pools.read.run(partial(audit_log.list, after, _READ, only=only)):
        yield [structs.asdict(one) | {"data": Raw(one.data.encode())} for one in entries]
        after = entries[-1].number


def _resolved(audit_log: AuditLog, typed: AuditFilter) -> tuple[AuditFilter, list[tuple[str, str]]]:
    """Return the filter with ids in place of emails, and the emails that have no account."""
    ids, problems = dict[str, str](), list[tuple[str, str]]()
    for name in ("actor", "subject"):
        try:
            ids[name] = audit_log.id_of(getattr(typed, name))
        except NotFound as error:
            problems.append((sentence(str(error)), name))
    if ids.get("actor", "").startswith(_USER_ID):
        ids["actor"] = user_actor(ids["actor"])
    return structs.replace(typed, **ids), problems


def _listed(
    audit_log: AuditLog,
    typed: AuditFilter,
    only: AuditFilter,
    before: int | None,
    after: int | None,
) -> _Listed:
    """Return a page, by the number of an entry before or after it."""
    if after is None:
        found = audit_log.list(0, _PAGE + 1, before=before, newest_first=True, only=only)
        entries, is_first = found[:_PAGE], before is None
        has_older = len(found) > _PAGE
    else:
        found = audit_log.list(after, _PAGE + 1, only=only)
        entries, is_first = found[:_PAGE][::-1], len(found) <= _PAGE
        has_older = after > 0
    if not entries:
        return _Listed([], first="" if is_first else _address(typed))
    return _Listed(
        entries,
        first="" if is_first else _address(typed),
        previous="" if is_first else _address(typed, after=entries[0].number),
        next=_address(typed, before=entries[-1].number) if has_older else "",
        last=_address(typed, after=0) if has_older else "",
    )


def _address(typed: AuditFilter, page: str = _SECTION, **place: int) -> str:
    query = {name: text for name, text in structs.asdict(typed).items() if text}
    return f"{page}?{text}" if (text := urlencode(query | place)) else page


def _page(
    request: UserRequest,
    audit_log: AuditLog,
    users: UserQueries,
    typed: AuditFilter,
    listed: _Listed,
    **shown: Any,
) -> Page:
    emails = emails_in(listed.entries, users)
    return render_console_page(
        request,
        "audit/list",
        _SECTION,
        typed=typed,
        listed=listed,
        emails=emails,
        details=partial(_details, emails=emails),
        events=audit_log.list_events(),
        address=_address,
        narrowed=partial(_narrowed, typed),
        download=_address(typed, f"{_SECTION}/download"),
        is_filtered=typed != AuditFilter(),
        **shown,
    )


def _details(entry: AuditEntry, *, emails: Mapping[str, str]) -> str:
    """Return the details of an entry in words, with the emails of accounts."""
    details = msgspec.json.decode(entry.data)
    return "; ".join(
        f"{name.replace('_', ' ')}: {_detail(name, value, emails)}"
        for name, value in details.items()
    )


def _detail(name: str, value: Any, emails: Mapping[str, str]) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name in _TIMES:
        return f"{from_milliseconds(value):%Y-%m-%d %H:%M} UTC"
    return emails.get(str(value).removeprefix(_ACTOR_OF_USER), str(value))


def _narrowed(typed: AuditFilter, **changes: str) -> str:
    return _address(structs.replace(typed, **changes))


HANDLERS = [show_audit_log, verify_audit_log, download_audit_log]
