"""The users that somebody finds in the audit log by a name, a part of it, or an email."""

from collections.abc import Sequence

from msgspec import Struct, structs

from anyscale.domain.names import full_name
from anyscale.errors import NotFound, RequestInvalid
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.search import NarrowedQuery, UserListing
from anyscale.server.http.console.audit.filters import LogFilters
from anyscale.server.http.web.console_page import Problem
from anyscale.server.http.web.forms import sentence
from anyscale.server.store.records.search import FoundUserRecord
from anyscale.server.store.words import fold

#: users to choose from
_MOST = 20

#: Pages of a search that are read: together they take about 600 ms where no index finds the users.
_PAGES = 3


class Choice(Struct, frozen=True):
    """One of several users that were found."""

    name: str
    email: str
    filters: LogFilters


class Found(Struct, frozen=True):
    """The filters with the user that was found, or the users to choose from, or problems."""

    filters: LogFilters
    choices: Sequence[Choice] = ()
    #: whether there are more users than the choices
    has_more: bool = False
    #: whether some accounts were not searched for parts of words, which takes long
    is_partial: bool = False
    problems: Sequence[Problem] = ()


def find_people(audit_log: AuditLog, listing: UserListing, filters: LogFilters) -> Found:
    """Find the user that was typed, and the accounts of emails."""
    try:
        filters = _with_ids(audit_log, filters)
    except NotFound as error:
        return Found(filters, problems=[(sentence(str(error)), "q")])
    if not filters.q:
        return Found(filters, problems=filters.problems)
    try:
        users, is_partial = _search(listing, filters.q)
    except RequestInvalid as error:
        return Found(filters, problems=[(sentence(str(error)), "q")])
    chosen = [_choice(filters, user) for user in users]
    exact = [one for one in chosen if fold(one.name) == fold(filters.q)]
    for found in (chosen, exact):
        if len(found) == 1:
            return Found(found[0].filters, problems=filters.problems)
    if "@" not in filters.q and audit_log.has_subject(filters.q):  # a signing key, say
        subject = structs.replace(filters, q="", subject=filters.q)
        return Found(subject, problems=filters.problems)
    return Found(
        filters,
        chosen[:_MOST],
        has_more=len(chosen) > _MOST,
        is_partial=is_partial,
        problems=_nobody(chosen, filters),
    )


def _nobody(chosen: Sequence[Choice], filters: LogFilters) -> list[Problem]:
    if chosen:
        return filters.problems
    return [(f"Nobody is found by “{filters.q}”.", "q"), *filters.problems]


def _with_ids(audit_log: AuditLog, filters: LogFilters) -> LogFilters:
    """Return filters with the ids of accounts in place of emails."""
    only = audit_log.with_ids(structs.replace(filters, since="", until="").only)
    filters = structs.replace(filters, account=only.account, actor=only.actor, subject=only.subject)
    if "@" not in filters.q:
        return filters
    try:
        return structs.replace(filters, q="", account=audit_log.id_of(filters.q))
    except NotFound:  # perhaps a part of an email
        return filters


def _search(listing: UserListing, text: str) -> tuple[list[FoundUserRecord], bool]:
    """Return some users that a search finds, and whether it was not completed."""
    users: list[FoundUserRecord] = []
    cursor: str | None = ""
    for _ in range(_PAGES):
        if cursor is None or len(users) > _MOST:
            break
        page = listing.search(NarrowedQuery(search=text), cursor, _MOST + 1)
        users += page.users
        cursor = page.cursor
    return users, cursor is not None


def _choice(filters: LogFilters, user: FoundUserRecord) -> Choice:
    filters = structs.replace(filters, q="", account=user.user_id)
    return Choice(full_name(user.name, user.lastname), user.email, filters)
