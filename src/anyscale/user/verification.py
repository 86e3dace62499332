"""Compare users with their accounts, chunk by chunk, without passwords."""

import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from msgspec import UNSET, Struct, structs

from anyscale.errors import BatchRefused, Problem
from anyscale.transport.base import Transport
from anyscale.user.lookup import PAGE, list_users
from anyscale.user.models import User
from anyscale.user.user_sources import Reading, UserSource, chunks
from anyscale.user.validation import CheckedUser, Policy

__all__ = ["Difference", "Verification"]

#: The rules of the control plane are for new accounts; these are the limits of every file.
_POLICY = Policy(password_min_length=1)

_FIELDS = ("name", "lastname", "title", "is_sso_user")


class Difference(Struct, frozen=True):
    """One difference between an entry and its account.

    Attributes:
        index (int): The entry, counted from 0.
        line (int or None): The line of its email in the file, counted from 1; None for a list.
        column (int or None): The column of its email, counted from 1; None for a list.
        email (str): As the file has it.
        kind (str): `missing` (there is no account), `different` (of one field) or `suspended`.
        field (str or None): The field that is different.
        file (str, bool or None): Its value in the file.
        account (str, bool or None): Its value in the account.
    """

    index: int
    line: int | None
    column: int | None
    email: str
    kind: str
    field: str | None = None
    file: str | bool | None = None
    account: str | bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self)


class Verification:
    """Compares the users of a source with their accounts.

    Args:
        transport: of the control plane.
        source: the users.
        keep_ids: whether `extra` will be called: it needs 8 bytes for each user.
        on_progress: receives a step, and how much of how much of it is done.
    """

    def __init__(
        self,
        transport: Transport,
        source: UserSource,
        *,
        keep_ids: bool = False,
        on_progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        self._transport = transport
        self._source = source
        self._on_progress = on_progress
        #: hashes of the ids of the accounts that the source has
        self._seen = array("q") if keep_ids else None
        #: users that were compared so far
        self.checked = 0

    def check(self) -> None:
        """Check all users of the source, before any is compared.

        Raises:
            BatchRefused: entries are wrong.
        """
        reading = self._source.reading(_POLICY, verify=True)
        for _ in chunks(reading, _POLICY.chunk_users):
            self._on_progress("Reading", *self._source.progress())
        if reading.problems:
            raise BatchRefused(reading.problems, reading.problems.more)

    def differences(self) -> Iterator[Difference]:
        """Compare the users of the source with their accounts; iterate in their order."""
        reading = self._source.reading(_POLICY, verify=True)
        for first, users, accounts in self._found(reading):
            for index, (user, account) in enumerate(zip(users, accounts, strict=True), first):
                if account is None:
                    yield self._difference(reading, index, user, "missing")
                else:
                    yield from self._compared(reading, index, user, account)
            self.checked = first + len(users)
            self._on_progress("Comparing", *self._source.progress())
        self._source.check_unchanged()

    def extra(self) -> Iterator[User]:
        """Iterate over the accounts that the source lacks, after `differences` has ended.

        Of two accounts whose ids have the same hash of 64 bits it may miss one.
        """
        assert self._seen is not None
        seen = array("q", sorted(self._seen))
        for user in list_users(self._transport, None, None, None, PAGE, suspended=False):
            value = hash(user.user_id)
            at = bisect_left(seen, value)
            if at == len(seen) or seen[at] != value:
                yield user

    def _found(
        self, reading: Reading
    ) -> Iterator[tuple[int, Sequence[CheckedUser], Sequence[User | None]]]:
        """Look the users up chunk by chunk, while the next chunk is read."""
        from anyscale.transport.bounded_executor import BoundedExecutor

        first = 0
        transport = self._transport
        with BoundedExecutor[tuple[int, Sequence[CheckedUser], Sequence[User | None]]](
            transport.claims_at_once, transport.cancel_retries, transport.on_notice
        ) as executor:
            for chunk in chunks(reading, _POLICY.chunk_users):
                yield from executor.submit(partial(self._look_up, first, chunk.users))
                first += len(chunk.users)
            yield from executor.drain()

    def _look_up(
        self, first: int, users: Sequence[CheckedUser]
    ) -> tuple[int, Sequence[CheckedUser], Sequence[User | None]]:
        return first, users, self._transport.find_users([user.email for user in users])

    def _compared(
        self, reading: Reading, index: int, user: CheckedUser, account: User
    ) -> Iterator[Difference]:
        if self._seen is not None:
            self._seen.append(hash(account.user_id))
        if account.suspended_at is not None:
            yield self._difference(reading, index, user, "suspended")
        for field in _FIELDS:
            ours, theirs = getattr(user, field), getattr(account, field)
            if ours is not UNSET and ours != theirs and not _is_same_text(ours, theirs):
                yield self._difference(reading, index, user, "different", field, ours, theirs)

    def _difference(
        self,
        reading: Reading,
        index: int,
        user: CheckedUser,
        kind: str,
        field: str | None = None,
        ours: str | bool | None = None,
        theirs: str | bool | None = None,
    ) -> Difference:
        problem = Problem(index=index, code=kind, detail="")
        (placed,) = reading.locate([problem])
        return Difference(index, placed.line, placed.column, user.email, kind, field, ours, theirs)


def _is_same_text(ours: str | bool | None, theirs: str | bool | None) -> bool:
    """Return whether two texts are the same in NFC. An empty one is as none, as in CSV."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return False
    return unicodedata.normalize("NFC", ours or "") == unicodedata.normalize("NFC", theirs or "")
