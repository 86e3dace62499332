"""/console: the state of the control plane at a glance."""

from typing import Any

from litestar.di import NamedDependency

from anyscale.domain.times import from_milliseconds
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.batches.service import BatchService
from anyscale.server.http.console.audit.entries import shown_entries
from anyscale.server.http.console.users.filters import SIGN_IN, UserFilters
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.console_page import Page, render_console_page

__all__ = ["HANDLERS"]

_SHOWN_BATCHES = 5
_SHOWN_ENTRIES = 10


@get("/", pool="read")
def show_overview(
    request: UserRequest,
    batches: NamedDependency[BatchService],
    audit_log: NamedDependency[AuditLog],
    account_count: NamedDependency[AccountCount],
) -> Page:
    account_count.refresh()
    entries = audit_log.list(0, _SHOWN_ENTRIES, newest_first=True)
    return render_console_page(
        request,
        "overview",
        "/console",
        total=account_count.value,
        parts_of_all=_parts(account_count),
        counted=from_milliseconds(account_count.at),
        without_factor={
            "all": account_count.without_second_factor,
            "owners": account_count.owners_without_second_factor,
        },
        unfinished=batches.page(open_only=True, before="", limit=_SHOWN_BATCHES),
        entries=shown_entries(audit_log, entries),
    )


def _parts(count: AccountCount) -> list[dict[str, Any]]:
    return [
        {
            "label": words.part,
            "chart": chart,
            "count": (count.by_sign_in or {}).get(sign_in, 0),
            "href": UserFilters(state=sign_in).address(),
        }
        for chart, (sign_in, words) in enumerate(SIGN_IN.items(), start=1)
    ]


HANDLERS = [show_overview]
