"""All accounts that match the filters of the list, for a change of all of them.

The set is that of the moment when the page that asks is shown: the form has a digest of it. When
another set matches as the form arrives, nothing is done, and the page asks again.
"""

import time
from collections.abc import Callable
from typing import Literal

from anyscale.server.core.audit.entries import root_of
from anyscale.server.core.search import UserListing
from anyscale.server.http.console.users.filters import UserFilters
from anyscale.server.http.console.users.listing import PAGE_USERS
from anyscale.server.store.records.search import FoundUserRecord

Change = Literal["suspend", "restore", "links"]

#: accounts that one form changes, at most
MOST = 100_000

#: Seconds that the page looks for them, at most: it takes a thread of other readers.
_SECONDS = 20.0

_PART = 1_000

_TOO_MANY = (
    f"These are more users than one form can change ({MOST:,}), or it takes too long to find them. "
    "Choose more filters."
)


class Matches:
    """The accounts that match, and those of them that a change is for.

    It keeps their ids: of 100,000 accounts that is a tenth of the records.
    """

    def __init__(self, change: Change, problem: str = "") -> None:
        #: why they were not looked for, or not found
        self.problem = problem
        self._change = change
        self._chosen = set[str]()
        #: the first of those to change, as the list has them
        self.first: list[FoundUserRecord] = []
        #: those to suspend that a sync has suspended: otherwise one would restore them
        self.by_sync: set[str] = set()
        #: those that are left out: owners, and those that are suspended already, or are not
        self.owners: set[str] = set()
        self.others: set[str] = set()

    def add(self, user: FoundUserRecord) -> None:
        """Add an account; one that was renamed during a search may come twice."""
        is_suspended = user.suspended_at is not None
        is_by_sync = self._change == "suspend" and is_suspended and user.suspended_by_sync
        if user.permission_level == "owner":
            self.owners.add(user.user_id)
        elif is_suspended != (self._change == "restore") and not is_by_sync:
            self.others.add(user.user_id)
        elif user.user_id not in self._chosen:
            self._chosen.add(user.user_id)
            self.by_sync.update([user.user_id] if is_by_sync else [])
            self.first += [user] if len(self.first) < PAGE_USERS else []

    @property
    def user_ids(self) -> list[str]:
        """Those to change, in order."""
        return sorted(self._chosen)

    @property
    def total(self) -> int:
        return len(self._chosen) + len(self.owners) + len(self.others)

    @property
    def digest(self) -> str:
        """Of the accounts to change."""
        return root_of(self.user_ids).hex()


def find_matches(
    listing: UserListing,
    filters: UserFilters,
    change: Change,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Matches:
    """Find the accounts that match.

    Without a filter, or if they are too many or take too long, there are none and a `problem`.
    """
    if filters.unsorted == UserFilters():
        return Matches(change, "Choose a filter or a search first: this is for all that match.")
    deadline, matches = clock() + _SECONDS, Matches(change)
    for part in listing.parts(filters.unsorted.query, _PART):
        for user in part:
            matches.add(user)
        if matches.total > MOST or clock() > deadline:
            return Matches(change, _TOO_MANY)
    return matches
