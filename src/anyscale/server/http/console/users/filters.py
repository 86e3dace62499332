"""The filters of the list of users."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote

from litestar.params import FromQuery, QueryParameter
from msgspec import structs

from anyscale.domain.user_query import MAX_QUERY_TEXT
from anyscale.errors import RequestInvalid
from anyscale.server.core.search import NarrowedQuery
from anyscale.server.http.console.filters import Filters
from anyscale.server.store.records.search import SignIn

PATH = "/console/users"


class SignInWords(NamedTuple):
    """Words about how a user can sign in."""

    text: str
    #: the kind of the mark around the text
    kind: str
    #: of the accounts in the overview
    part: str
    #: after a change of the account
    after: str
    #: its colour in bars
    chart: int


_AGAIN = "The user can sign in again."
_BY_LINK = "The user signs in by the unused link."
_NOT_YET = "The user cannot sign in before you create a link."
_SUSPENDED = "The account is suspended: its user cannot sign in."

SIGN_IN: Mapping[SignIn, SignInWords] = {
    "password": SignInWords("Password", "good", "By password", _AGAIN, 1),
    "sso": SignInWords("Single sign-on", "good", "By single sign-on", _AGAIN, 2),
    "link": SignInWords("Unused link", "wait", "By an unused link", _BY_LINK, 3),
    "none": SignInWords("Cannot sign in", "bad", "Cannot sign in", _NOT_YET, 4),
    "suspended": SignInWords("Suspended", "quiet", "Suspended", _SUSPENDED, 5),
}


#: days without a sign-in -> in words
_NOT_SINCE: Mapping[str, str] = {
    "30": "Not for 30 days",
    "90": "Not for 90 days",
    "365": "Not for a year",
}
_ROLES: Mapping[str, str] = {"owner": "Owner", "collaborator": "Member"}


Sort = Literal["", "created", "email", "-email"]

_ORDERS = {
    "": "The newest accounts first",
    "created": "The oldest accounts first",
    "email": "By email, from A to Z",
    "-email": "By email, from Z to A",
    "best": "The best matches first",
}


class Heading(NamedTuple):
    """The heading of a column of a table."""

    text: str
    #: the address of the list when it is sorted by the column; empty if it cannot be
    address: str = ""
    #: how the list is sorted by it: a value of `aria-sort`, or an empty text
    sorted_by: str = ""


class UserFilters(Filters, frozen=True):
    """Which accounts the list has."""

    path: ClassVar[str] = PATH
    q: str = ""
    state: SignIn | Literal[""] = ""
    role: str = ""
    batch: str = ""
    factor: Literal["none", ""] = ""
    #: a key of `_NOT_SINCE`, or a day
    not_since: str = ""
    #: of a list; empty for the newest first
    sort: Sort = ""

    @property
    def query(self) -> NarrowedQuery:
        return NarrowedQuery(
            search=self.q or None,
            role=self.role or None,
            sign_in=self.state,
            batch_id=self.batch,
            without_second_factor=self.factor == "none",
            not_since=_day(self.not_since),
            order=self.sort or "-created",
        )

    @property
    def unsorted(self) -> "UserFilters":
        """The same accounts, in the usual order."""
        return structs.replace(self, sort="")

    @property
    def order_in_words(self) -> str:
        return _ORDERS["best" if self.q else self.sort]

    def heading(self, text: str, ascending: Sort, descending: Sort) -> Heading:
        """Return the heading of a column, which sorts a list; a search has its own order."""
        if self.q:
            return Heading(text)
        sorted_by = {ascending: "ascending", descending: "descending"}.get(self.sort, "")
        other = descending if sorted_by == "ascending" else ascending
        return Heading(text, structs.replace(self, sort=other).address(), sorted_by)

    @property
    def narrowed(self) -> str:
        """The filters besides the search, in words."""
        state = SIGN_IN[self.state].text if self.state else ""
        batch = "from one import" if self.batch else ""
        factor = "without a second factor" if self.factor else ""
        since = dict(self.since_choices).get(self.not_since, "")
        since = f"last sign-in: {since.lower()}" if since else ""
        return ", ".join(filter(None, [state, _ROLES.get(self.role, ""), batch, factor, since]))

    @property
    def since_choices(self) -> list[tuple[str, str]]:
        """The choices of `not_since`, each with its text, and the day of an address."""
        other = self.not_since and self.not_since not in _NOT_SINCE
        days = [(self.not_since, f"Not since {self.not_since}")] if other else []
        return [*_NOT_SINCE.items(), *days]


def parts_of(counts: Mapping[str, int], batch_id: str = "") -> list[dict[str, Any]]:
    """Return the parts of a bar of all accounts, or of those of a batch, each with its list."""
    return [
        {
            "label": words.part,
            "chart": words.chart,
            "count": counts.get(sign_in, 0),
            "href": UserFilters(state=sign_in, batch=batch_id).address(),
        }
        for sign_in, words in SIGN_IN.items()
    ]


def account_path(user_id: str) -> str:
    """Return the path of the page of an account."""
    return f"{PATH}/{quote(user_id, safe='')}"  # it may be any text of a request


def _day(not_since: str) -> date | None:
    """Return the day of a text of `not_since`; None for an empty one."""
    if not_since in _NOT_SINCE:
        return datetime.now(UTC).date() - timedelta(days=int(not_since))
    try:
        return date.fromisoformat(not_since) if not_since else None
    except ValueError:
        raise RequestInvalid("not_since must be a day, such as 2026-09-30") from None


def read_filters(
    q: Annotated[str, QueryParameter(max_length=MAX_QUERY_TEXT)] = "",
    sign_in: Annotated[SignIn | Literal[""], QueryParameter(name="state")] = "",
    role: FromQuery[Literal["", "owner", "collaborator"]] = "",
    batch: Annotated[str, QueryParameter(max_length=64)] = "",
    factor: FromQuery[Literal["", "none"]] = "",
    not_since: Annotated[str, QueryParameter(max_length=10)] = "",
    sort: FromQuery[Sort] = "",
) -> UserFilters:
    """Read the filters of an address. Raise `RequestInvalid` for a day that is invalid."""
    _day(not_since)
    return UserFilters(q.strip(), sign_in, role, batch.strip(), factor, not_since, sort)
