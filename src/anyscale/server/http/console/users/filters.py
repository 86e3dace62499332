"""The filters of the list of users, which are in the address, and addresses with them."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from litestar.params import FromQuery, QueryParameter
from msgspec import Struct, structs

from anyscale.domain.user_query import MAX_QUERY_TEXT
from anyscale.server.core.search import NarrowedQuery

__all__ = ["SIGN_IN", "UserFilters", "account_path", "address", "read_filters"]

PATH = "/console/users"

#: how a user can sign in: the words, and the kind of the mark
SIGN_IN = {
    "password": ("Password", "good"),
    "sso": ("Single sign-on", "good"),
    "link": ("Unused link", "wait"),
    "none": ("Cannot sign in", "bad"),
    "suspended": ("Suspended", "quiet"),
}


class UserFilters(Struct, frozen=True):
    """Which accounts the list has; an empty text is for any."""

    q: str = ""
    state: str = ""
    role: str = ""
    batch: str = ""

    @property
    def query(self) -> NarrowedQuery:
        return NarrowedQuery(
            search=self.q or None,
            role=self.role or None,
            sign_in=self.state,
            batch_id=self.batch,
        )

    @property
    def narrowed(self) -> str:
        """The filters besides the search, in words."""
        state = SIGN_IN[self.state][0] if self.state else ""
        batch = f"batch {self.batch}" if self.batch else ""
        return ", ".join(filter(None, [state, self.role.capitalize(), batch]))

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
    sign_in: Annotated[
        Literal["", "password", "sso", "link", "none", "suspended"], QueryParameter(name="state")
    ] = "",
    role: FromQuery[Literal["", "owner", "collaborator"]] = "",
    batch: Annotated[str, QueryParameter(max_length=64)] = "",
) -> UserFilters:
    """Read the filters of an address."""
    return UserFilters(q.strip(), sign_in, role, batch.strip())
