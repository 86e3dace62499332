"""Which accounts of the list a form is for, and the pages that ask before it is sent."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter
from msgspec import Struct

from anyscale.comparison.sync_limits import default_limit, limit_question
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.errors import RequestInvalid
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.search import UserListing
from anyscale.server.http.console.users.filters import PATH, UserFilters, read_filters
from anyscale.server.http.console.users.listing import PAGE_USERS
from anyscale.server.http.console.users.matches import Change, Matches, find_matches
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.web.console_page import Page, Problem, render_console_page
from anyscale.server.http.web.forms import OptionalFormKey, new_form_key, read_texts

#: the accounts of a page
UserIds = Annotated[list[str] | None, QueryParameter(name="user_id", max_items=PAGE_USERS)]

#: what a change is called in a sentence with a number
_TO: Mapping[Change, str] = {
    "suspend": "to suspend",
    "restore": "to restore",
    "links": "to get a link",
}


class Choice(Struct, frozen=True):
    """What the address of a page says of its accounts, besides their ids."""

    filters: UserFilters
    #: whether all that match are chosen
    is_all: bool = False
    #: the key of the form that is undone; empty if none is
    undo: str = ""

    def path(self, change: Change, note: str = "") -> str:
        """Return the address of the form."""
        is_all = "yes" if self.is_all else ""
        return self.filters.address(f"{PATH}/{change}", all=is_all, undo=self.undo, note=note)


def _read_choice(
    filters: NamedDependency[UserFilters],
    is_all: Annotated[Literal["", "yes"], QueryParameter(name="all")] = "",
    undo: OptionalFormKey = "",
) -> Choice:
    return Choice(filters, is_all == "yes", undo)


CHOICE = {
    "filters": Provide(read_filters, sync_to_thread=False),
    "choice": Provide(_read_choice, sync_to_thread=False),
}


class Confirmations(Struct, frozen=True):
    """Renders the pages that ask before accounts of the list are changed."""

    users: UserQueries
    listing: UserListing
    links: PasswordLinkService
    account_count: AccountCount

    def find(self, change: Change, choice: Choice) -> Matches:
        """Find all that match: see `find_matches`."""
        return find_matches(self.listing, choice.filters, change)

    def require_recent_sign_in(self, request: UserRequest, found: Sequence[User]) -> None:
        """Raise `SignInTooOld` as the change of an owner's account would."""
        if any(user.permission_level == "owner" for user in found):
            request.user.require_recent_sign_in()

    def ask(
        self,
        request: UserRequest,
        change: Change,
        choice: Choice,
        user_ids: Sequence[str],
        **shown: Any,
    ) -> Page:
        """Return the page that asks before some accounts are changed."""
        found = self.users.with_ids(user_ids[:PAGE_USERS])
        self.require_recent_sign_in(request, found)
        if not found:
            shown = {"problems": [("Select at least one account.", "")], "status": 400} | shown
        chosen = user_ids if choice.undo else [user.user_id for user in found]
        return self._page(request, change, choice, found, chosen, **shown)

    def ask_for_all(
        self, request: UserRequest, change: Change, choice: Choice, **shown: Any
    ) -> Page:
        """Return the page that asks before all that match are changed."""
        request.user.require_recent_sign_in()
        matches = self.find(change, choice)
        values: dict[str, Any] = {"matches": matches, "doubt": self._doubt_of(change, matches)}
        if matches.problem:
            shown |= {"problems": [(matches.problem, "")], "status": 400}
        return self._page(
            request, change, choice, matches.first, matches.user_ids, **values | shown
        )

    def problem_of(
        self, change: Change, matches: Matches, digest: str, typed: str
    ) -> Problem | None:
        """Return why a form for all that match is shown again; None if it is not."""
        if matches.problem:
            return (matches.problem, "")
        if digest != matches.digest:
            problem = "Other users match than when you opened this page: look at it again."
            return (problem, "")
        count = len(matches.user_ids)
        if self._doubt_of(change, matches) and typed.replace(",", "").strip() != str(count):
            return (f"Type {count:,}, the number of accounts {_TO[change]}.", "number")
        return None

    def _doubt_of(self, change: Change, matches: Matches) -> str:
        """Return why the number has to be typed, by the limit of a sync; empty if it need not."""
        counted = self.account_count
        if counted.value is None:
            counted.refresh()
        count = len(matches.user_ids)
        accounts = (counted.value if change == "restore" else counted.active) or 0
        if count <= default_limit(accounts):
            return ""
        return f"{limit_question(f'{count:,} {_TO[change]}', accounts)}, type {count:,}."

    def _page(
        self,
        request: UserRequest,
        change: Change,
        choice: Choice,
        found: Sequence[Any],
        user_ids: Sequence[str],
        **shown: Any,
    ) -> Page:
        values: dict[str, Any] = {"matches": None, "doubt": "", "form_key": new_form_key()}
        if change == "links":
            values |= {"unused": self.links.unused(user_ids), "module": "download.js"}
        owners = [one.user_id for one in found if one.permission_level == "owner"]
        values["links_made"] = self.links.count_made(owners) if owners else 0
        return render_console_page(
            request,
            "users/selected",
            PATH,
            action=change,
            path=choice.path(change),
            filters=choice.filters,
            is_undo=bool(choice.undo),
            back=choice.filters.address(),
            accounts=[(one, full_name(one.name, one.lastname)) for one in found],
            count=len(user_ids),
            **values | shown,
        )


def read_selected(request: UserRequest, body: bytes) -> list[str]:
    """Read the ids of selected accounts from a form; raise `RequestInvalid` for none or many."""
    user_ids = list(dict.fromkeys(read_texts(request, body, "user_id")))
    if not user_ids or len(user_ids) > PAGE_USERS:
        raise RequestInvalid(f"select 1 to {PAGE_USERS} accounts")
    return user_ids
