"""The filters of the list of users, which are in the address, and addresses with them."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlencode

from litestar.params import FromQuery, QueryParameter
from msgspec import Struct, structs

from anyscale.domain.user_query import MAX_QUERY_TEXT
from anyscale.server.core.search import NarrowedQuery
from anyscale.server.store.records.search import SignIn

__all__ = ["SIGN_IN", "UserFilters", "account_path", "address", "read_filters"]

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


_AGAIN = "The user can sign in again."
_BY_LINK = "The user signs in by the unused link."
_NOT_YET = "The user cannot sign in before you create a link."
_SUSPENDED = "The account is suspended: its user cannot sign in."

SIGN_IN: Mapping[SignIn, SignInWords] = {
    "password": SignInWords("Password", "good", "By password", _AGAIN),
    "sso": SignInWords("Single sign-on", "good", "By single sign-on", _AGAIN),
    "link": SignInWords("Unused link", "wait", "By an unused link", _BY_LINK),
    "none": SignInWords("Cannot sign in", "bad", "Cannot sign in", _NOT_YET),
    "suspended": SignInWords("Suspended", "quiet", "Suspended", _SUSPENDED),
}


class UserFilters(Struct, frozen=True):
    """Which accounts the list has; an empty text is for any."""

    q: str = ""
    state: SignIn | Literal[""] = ""
    role: str = ""
    batch: str = ""
    factor: Literal["none", ""] = ""

    @property
    def query(self) -> NarrowedQuery:
        return NarrowedQuery(
            search=self.q or None,
            role=self.role or None,
            sign_in=self.state,
            batch_id=self.batch,
            without_second_factor=self.factor == "none",
        )

    @property
    def narrowed(self) -> str:
        """The filters besides the search, in words."""
        state = SIGN_IN[self.state].text if self.state else ""
        batch = f"batch {self.batch}" if self.batch else ""
        factor = "without a second factor" if self.factor else ""
        return ", ".join(filter(None, [state, self.role.capitalize(), batch, factor]))

    def address(self, path: str = PATH, **more: object) -> str:
        """Return the address of a page with these filters."""
        return address(path, **structs.asdict(self), **more)


def address(path: str, **parameters: object) -> str:
    """Return a path with those parameters that are not empty."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{path}?{query}" if query else path


def account_path(user_id: str) -> str:
    """Return the path of the page of an account."""
    return f"{PATH}/{user_id}"


def read_filters(
    q: Annotated[str, QueryParameter(max_length=MAX_QUERY_TEXT)] = "",
    sign_in: Annotated[SignIn | Literal[""], QueryParameter(name="state")] = "",
    role: FromQuery[Literal["", "owner", "collaborator"]] = "",
    batch: Annotated[str, QueryParameter(max_length=64)] = "",
    factor: FromQuery[Literal["", "none"]] = "",
) -> UserFilters:
    """Read the filters of an address."""
    return UserFilters(q.strip(), sign_in, role, batch.strip(), factor)
