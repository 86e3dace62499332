"""Compare users with their accounts, chunk by chunk, without passwords."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, takewhile
from operator import attrgetter
from typing import NamedTuple

from msgspec import UNSET

from anyscale.domain.models.users import Difference, User, UserChanges
from anyscale.domain.user_query import UserQuery
from anyscale.domain.user_sources import Chunk, Reading, UserSource, chunks
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.errors import AnyscaleError, BatchRefused, Problem
from anyscale.transport.base import Transport
from anyscale.user.comparison.id_hashes import IdHashes
from anyscale.user.lookup import PAGE, list_users

__all__ = ["Verification"]

#: what an administrator enters about a user, except the email and the password
_FIELDS = tuple(field for field in UserChanges.__struct_fields__ if field != "email")

#: Users that one call looks up. Their accounts are in memory, for some calls at a time.
_CHUNK = 2_000

#: After this number of differences, some megabytes, the first reading compares no more.
_KEPT = 10_000


class _LookedUpChunk(NamedTuple):
    """The users of a chunk, and their accounts."""

    #: the position of the first user
    first: int
    users: Sequence[CheckedUser]
    accounts: Sequence[User | None]


class Verification:
    """Compares the users of a source with their accounts.

    Reading a file takes more than half of the time, so one reading both checks and compares its
    users. A second one compares the rest if the first one has found more than it can keep.

    Args:
        transport: of the control plane.
        source: the users.
        keep_ids: whether `extra` will be called: it needs 8 bytes for each user.
        on_progress: receives the step, how much of it is done, and how much it is in all.
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
        self._seen = IdHashes() if keep_ids else None
        #: users that were compared so far
        self.checked: int = 0

    def differences(self) -> Iterator[Difference]:
        """Check all users of the source, then iterate over their differences, in their order.

        Raises:
            BatchRefused: entries are wrong, before the first difference.
        """
        kept = self._check_all()
        is_full = len(kept) >= _KEPT
        yield from kept
        del kept
        if is_full:
            yield from self._compare_rest()
        self._source.check_unchanged()

    def extra(self) -> Iterator[User]:
        """Iterate over the accounts that the source lacks, after the end of `differences`.

        It may miss one of two accounts whose ids have the same hash of 64 bits.
        """
        assert self._seen is not None
        self._seen.sort()
        for user in list_users(self._transport, UserQuery(), None, PAGE):
            if user.user_id not in self._seen:
                yield user

    def _check_all(self) -> list[Difference]:
        """Check all users; compare them until `_KEPT` differences are found, and return these."""
        reading = self._source.reading(Policy(), verify=True)
        all_chunks = self._chunks(reading, "Reading")
        kept: list[Difference] = []
        to_compare = takewhile(lambda _: len(kept) < _KEPT and not reading.problems, all_chunks)
        try:
            for chunk in self._look_up_all(to_compare):
                if len(kept) < _KEPT:
                    kept += self._compare(reading, chunk)
        except AnyscaleError:
            # A wrong file is reported also if the control plane cannot be reached.
            _check_rest(reading, all_chunks)
            raise
        _check_rest(reading, all_chunks)
        return kept

    def _compare_rest(self) -> Iterator[Difference]:
        reading = self._source.reading(Policy(), verify=True)
        all_chunks = self._chunks(reading, "Comparing")
        rest = islice(all_chunks, self.checked // _CHUNK, None)
        for chunk in self._look_up_all(rest, self.checked):
            yield from self._compare(reading, chunk)

    def _chunks(self, reading: Reading, step: str) -> Iterator[Chunk]:
        for chunk in chunks(reading, _CHUNK):
            self._on_progress(step, *self._source.progress())
            yield chunk

    def _look_up_all(self, to_compare: Iterable[Chunk], first: int = 0) -> Iterator[_LookedUpChunk]:
        """Look the users up chunk by chunk, while the next chunk is read."""
        from anyscale.batch_run.bounded_executor import BoundedExecutor

        transport = self._transport
        with BoundedExecutor[_LookedUpChunk](
            transport.reservations_at_once, transport.cancel_retries, transport.on_notice
        ) as executor:
            for chunk in to_compare:
                yield from executor.submit(partial(self._look_up, first, chunk.users))
                first += len(chunk.users)
            yield from executor.drain()

    def _look_up(self, first: int, users: Sequence[CheckedUser]) -> _LookedUpChunk:
        accounts = self._transport.users.find([user.email for user in users])
        return _LookedUpChunk(first, users, accounts)

    def _compare(self, reading: Reading, chunk: _LookedUpChunk) -> Iterator[Difference]:
        # Nearly all users are equal to their accounts in the fields that the file has.
        values = attrgetter(*(_fields_of(chunk.users) or _FIELDS))
        pairs = zip(chunk.users, chunk.accounts, strict=True)
        for index, (user, account) in enumerate(pairs, chunk.first):
            if account is None:
                yield self._difference(reading, index, user, "missing")
                continue
            if self._seen is not None:
                self._seen.add(account.user_id)
            if account.suspended_at is not None:
                yield self._difference(reading, index, user, "suspended", account)
            if values(user) != values(account):
                yield from self._different_fields(reading, index, user, account)
        self.checked += len(chunk.users)

    def _different_fields(
        self, reading: Reading, index: int, user: CheckedUser, account: User
    ) -> Iterator[Difference]:
        for field in _FIELDS:
            ours, theirs = getattr(user, field), getattr(account, field)
            if ours is not UNSET and ours != theirs and not _is_same_text(ours, theirs):
                yield self._difference(reading, index, user, "different", account, field)

    def _difference(
        self,
        reading: Reading,
        index: int,
        user: CheckedUser,
        kind: str,
        account: User | None = None,
        field: str | None = None,
    ) -> Difference:
        problem = Problem(index=index, code=kind, detail="")
        (placed,) = reading.locate([problem])
        return Difference(
            index=index,
            line=placed.line,
            column=placed.column,
            email=user.email,
            kind=kind,
            field=field,
            file=getattr(user, field) if field else None,
            account=getattr(account, field) if field else None,
            user_id=account.user_id if account else None,
        )


def _fields_of(users: Sequence[CheckedUser]) -> list[str]:
    """Return the fields that any of the users has."""
    return [field for field in _FIELDS if any(getattr(user, field) is not UNSET for user in users)]


def _check_rest(reading: Reading, rest: Iterable[Chunk]) -> None:
    """Read the users that are left; raise `BatchRefused` if any of the reading was wrong."""
    for _ in rest:
        pass
    if reading.problems:
        raise BatchRefused(reading.problems, reading.problems.more, "nothing was compared")


def _is_same_text(ours: str | bool | None, theirs: str | bool | None) -> bool:
    """Return whether two texts are the same in NFC. An empty one equals None, as in CSV."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return False
    return unicodedata.normalize("NFC", ours or "") == unicodedata.normalize("NFC", theirs or "")
