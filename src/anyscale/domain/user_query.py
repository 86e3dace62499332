"""Which accounts a list or a search has: the rules of command, SDK and control plane."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import get_args

from msgspec import structs

from anyscale.domain.models.base import CheckedModel
from anyscale.domain.schemas.users import Role

#: characters of a search, or of a part of an email or a name
MAX_QUERY_TEXT = 256

# No text that can be sent has a lone surrogate.
_has_surrogate = re.compile("[\ud800-\udfff]").search


class UserQuery(CheckedModel, frozen=True):
    """Which accounts to list, and in which order. A wrong type of a value raises `TypeError`."""

    #: Words and parts of the email, the name and the last name. The accounts that match best come
    #: first. None for a list.
    search: str | None = None
    #: A part of the email, without regard to case. Empty or None for any, as the other parts.
    email: str | None = None
    #: a part of the name, without regard to case
    name: str | None = None
    suspended: bool = False
    #: one of `Role`
    role: str | None = None
    #: only SSO users
    sso: bool = False
    #: only accounts to which no user can sign in
    without_credentials: bool = False
    #: only accounts that are not suspended and have no second factor
    without_second_factor: bool = False
    #: only accounts without a sign-in on this day (UTC) and since, also those without any
    not_since: date | None = None
    newest_first: bool = False
    #: Only accounts with exactly this email, in any spelling, or exactly this name.
    exact: bool = False

    def __post_init__(self) -> None:
        """Check the types: a time is a date for Python, and its day depends on its zone."""
        super().__post_init__()
        if isinstance(self.not_since, datetime):
            raise TypeError("not_since must be date or None, not datetime")


def query_fault(query: UserQuery, named: Callable[[str], str] = str) -> str | None:
    """Return what is invalid in a query, or None.

    `named` returns what the user calls a field: an option, an argument or a parameter.
    """
    return next(_faults(query, named), None)


def _faults(query: UserQuery, named: Callable[[str], str]) -> Iterator[str]:
    search = None if query.search is None else query.search.strip()
    if search == "":
        yield f"{named('search')} is blank: give at least one character"
    for field, text in (("search", search), ("email", query.email), ("name", query.name)):
        yield from _text_faults(named(field), text or "")
    if query.role not in (None, *get_args(Role)):
        roles = " or ".join(map(repr, get_args(Role)))
        yield f"{named('role')} must be {roles}, not {query.role!r}"
    if search:
        yield from _other_order(query, named)
    if query.exact and not _is_of_email_or_name(query):
        yield "an exact match is of either an email or a name, and of nothing else"


def _text_faults(name: str, text: str) -> Iterator[str]:
    if len(text) > MAX_QUERY_TEXT:
        yield f"{name} must have at most {MAX_QUERY_TEXT} characters, not {len(text)}"
    if _has_surrogate(text):
        yield f"{name} is not UTF-8 text"
    if "\0" in text:
        yield f"{name} has a NUL character, which is part of no name and no email"


def _other_order(query: UserQuery, named: Callable[[str], str]) -> Iterator[str]:
    others = [field for field in ("email", "name", "newest_first") if getattr(query, field)]
    if others:
        reasons = ["looks at emails and names already"] if query.email or query.name else []
        reasons += ["lists the best matches first"] if query.newest_first else []
        fields = " and ".join(map(named, others))
        yield f"{named('search')} {' and '.join(reasons)}: leave out {fields}"


def _is_of_email_or_name(query: UserQuery) -> bool:
    others = structs.replace(query, email=None, name=None)
    return bool(query.email) != bool(query.name) and others == UserQuery(exact=True)
