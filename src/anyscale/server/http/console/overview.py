"""/console: the state of the control plane at a glance."""

from litestar.di import NamedDependency

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.times import from_milliseconds
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.audit.runs import Run
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.callers import user_actor
from anyscale.server.http.console.audit.entries import shown_runs
from anyscale.server.http.console.batches.words import shown_state
from anyscale.server.http.console.users.filters import parts_of
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, render_console_page

_SHOWN_BATCHES = 5
_SHOWN_ENTRIES = 10

#: how the events begin that are about signing in, or that members cause
_OWN = (
    "access.",
    "authorization.",
    "factor.",
    "identity.",
    "password.",
    "recovery_code",
    "session.",
)

#: of events that an owner causes as well, for others
_OF_MANAGERS = frozenset({"factor.removed", "sessions.revoked"})

#: Lines that are read at a time, and how often: sign-ins may be most of them. A line may stand for
#: 100,000 entries, so that only a few more than are shown are read.
_LOOK, _MOST_LOOKS = 20, 25


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
    runs = _last_runs(audit_log)
    has_factors = request.app.state.login_options.has_second_factors
    unfinished = batches.page(open_only=True, before="", limit=_SHOWN_BATCHES)
    return render_console_page(
        request,
        "overview",
        "/console",
        total=account_count.value,
        parts_of_all=parts_of(account_count.by_sign_in or {}),
        counted=from_milliseconds(account_count.at),
        without_sign_in=(account_count.by_sign_in or {}).get("none", 0),
        without_factor={
            "all": account_count.without_second_factor if has_factors else 0,
            "owners": account_count.owners_without_second_factor if has_factors else 0,
        },
        unfinished=[(batch, shown_state(batch, file_runs)) for batch in unfinished],
        names=names_in(unfinished, users),
        entries=shown_runs(runs, audit_log.names([run.newest for run in runs])),
    )


def _last_runs(audit_log: AuditLog) -> list[Run]:
    """Return the last entries, among some hundred, that are about more than somebody's sign-in."""
    found: list[Run] = []
    before = None
    for _ in range(_MOST_LOOKS):
        runs = audit_log.list_runs(_LOOK, AuditFilter(), before=before)
        found += [run for run in runs if not _is_about_oneself(run.newest)]
        if len(runs) < _LOOK or len(found) >= _SHOWN_ENTRIES:
            break
        before = runs[-1].oldest.number
    return found[:_SHOWN_ENTRIES]


def _is_about_oneself(entry: AuditEntry) -> bool:
    """Whether a user signed in, or changed how to do so: of many users, that is most of the log."""
    if entry.event in _OF_MANAGERS:
        return entry.actor == user_actor(entry.subject)
    return entry.event.startswith(_OWN)


HANDLERS = [show_overview]
