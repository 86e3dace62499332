"""/console: the state of the control plane at a glance."""

from litestar.di import NamedDependency

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.times import from_milliseconds
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.batches.service import BatchService
from anyscale.server.http.console.audit.entries import shown_entries
from anyscale.server.http.console.batches.words import shown_state
from anyscale.server.http.console.users.filters import parts_of
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, render_console_page

__all__ = ["HANDLERS"]

_SHOWN_BATCHES = 5
_SHOWN_ENTRIES = 10

#: Entries that are read at a time, and how often: sign-ins may be most of them.
_LOOK, _MOST_LOOKS = 100, 5


@get("/", pool="read")
def show_overview(
    request: UserRequest,
    batches: NamedDependency[BatchService],
    audit_log: NamedDependency[AuditLog],
    account_count: NamedDependency[AccountCount],
    users: NamedDependency[UserQueries],
    file_runs: NamedDependency[FileRuns],
) -> Page:
    account_count.refresh()
    entries = _last_entries(audit_log)
    unfinished = batches.page(open_only=True, before="", limit=_SHOWN_BATCHES)
    return render_console_page(
        request,
        "overview",
        "/console",
        total=account_count.value,
        parts_of_all=parts_of(account_count.by_sign_in or {}),
        counted=from_milliseconds(account_count.at),
        without_factor={
            "all": account_count.without_second_factor,
            "owners": account_count.owners_without_second_factor,
        },
        unfinished=[(batch, shown_state(batch, file_runs)) for batch in unfinished],
        names=names_in(unfinished, users),
        entries=shown_entries(audit_log, entries),
    )


def _last_entries(audit_log: AuditLog) -> list[AuditEntry]:
    """Return the last entries, among some hundred, that are about more than a sign-in."""
    found: list[AuditEntry] = []
    before = None
    for _ in range(_MOST_LOOKS):
        entries = audit_log.list(0, _LOOK, before=before, newest_first=True)
        found += [one for one in entries if not one.event.startswith("session.")]
        if len(entries) < _LOOK or len(found) >= _SHOWN_ENTRIES:
            break
        before = entries[-1].number
    return found[:_SHOWN_ENTRIES]


HANDLERS = [show_overview]
