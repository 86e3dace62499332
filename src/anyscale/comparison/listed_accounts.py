"""List the accounts that a source lacks; over HTTP already while the source is read."""

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import compress, islice
from typing import TYPE_CHECKING, NamedTuple, Self

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.list_users import list_users
from anyscale.comparison.matched_users import CHUNK
from anyscale.domain.models.users import User
from anyscale.domain.schemas.users import USER_PAGE
from anyscale.domain.user_query import UserQuery
from anyscale.interruptible_wait import interruptible_wait

if TYPE_CHECKING:  # imported on use: a small batch needs no threads
    from concurrent.futures import Future

#: seconds that the end waits for the page that is under way
_GRACE = 2.0


class _Page(NamedTuple):
    """Accounts, in as few octets as the look-up of some of them needs."""

    id_hashes: Sequence[int]
    #: a line each, which is in no email
    emails: bytes

    def missing(self, seen: IdHashes) -> Iterator[str]:
        """Iterate over the emails of the accounts that are not in `seen`."""
        missing = [not seen.has_hash(one) for one in self.id_hashes]
        if any(missing):
            yield from compress(self.emails.decode().split("\n"), missing)


class ListedAccounts:
    """All accounts, as a context manager: entering it begins to list them.

    Listing takes the control plane as long as reading a file takes the command. So a thread lists
    them and keeps some 40 octets of each, and those that the source lacks are looked up again. The
    embedded control plane, which is in this process, lists them after the reading.
    """

    def __init__(self, transport: ComparisonCalls) -> None:
        self._transport = transport
        #: how many are not suspended
        self.active: int = 0
        self._pages: list[_Page] = []
        self._is_left = False
        self._listing: Future[None] | None = None

    def __enter__(self) -> Self:
        from anyscale.batch_run.bounded_executor import start_call

        if self._transport.reservations_at_once > 1:
            self._listing = start_call(self._list)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left = True
        if self._listing:
            self._wait(self._listing, _GRACE)

    def missing(self, seen: IdHashes) -> Iterator[User]:
        """Iterate over the accounts that are not suspended and not in `seen`, which is sorted."""
        for account in self._looked_up(seen) if self._listing else self._every():
            if account.suspended_at is None and account.user_id not in seen:
                yield account

    @staticmethod
    def _wait(listing: "Future[None]", seconds: float = math.inf) -> None:
        from concurrent.futures import wait

        interruptible_wait(lambda short: wait([listing], short).done, seconds)

    def _every(self) -> Iterator[User]:
        for account in list_users(self._transport, UserQuery(), None, USER_PAGE):
            self.active += account.suspended_at is None
            yield account

    def _list(self) -> None:
        accounts = self._every()
        while not self._is_left and (page := list(islice(accounts, USER_PAGE))):
            active = [one for one in page if one.suspended_at is None]
            hashes = array("q", [hash(one.user_id) for one in active])
            self._pages.append(_Page(hashes, "\n".join(one.email for one in active).encode()))

    def _looked_up(self, seen: IdHashes) -> Iterator[User]:
        assert self._listing
        self._wait(self._listing)
        self._listing.result()
        emails = (email for page in self._pages for email in page.missing(seen))
        while chunk := list(islice(emails, CHUNK)):
            # An account that has been deleted or has another email since is not found.
            yield from filter(None, self._transport.users.find(chunk))
