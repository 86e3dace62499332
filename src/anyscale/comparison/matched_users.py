"""Read the users of a source, look up their accounts, chunk by chunk, and match them.

Who has an account may depend on users that are read later: see `depends_on_file`. These users are
matched in a second reading, which looks up only the chunks that have some.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count, repeat
from operator import attrgetter
from typing import NamedTuple

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.id_hashes import IdHashes
from anyscale.domain.matching import Conflict, depends_on_file, match
from anyscale.domain.models.users import User
from anyscale.domain.user_sources import ProblemList, Reading, UserSource, chunks
from anyscale.domain.validation import CheckedUser, Fault, Policy
from anyscale.errors import AnyscaleError, BatchRefused, Problem

#: Users that one call looks up. Their accounts are in memory, for some calls at a time.
CHUNK = 2_000

#: A user of a source, with the position from 0, and the account; None without one.
MatchedUser = tuple[int, CheckedUser, User | None]

#: receives the step, how much of it is done, and how much it is in all
OnProgress = Callable[[str, int, int], None]


_external_id = attrgetter("external_id")


class _Chunk(NamedTuple):
    #: the position of the first user
    first: int
    users: Sequence[CheckedUser]
    #: those that the users have, in their order
    external_ids: Sequence[str]


class _LookedUpChunk(NamedTuple):
    first: int
    users: Sequence[CheckedUser]
    by_email: Sequence[User | None]
    #: none if no user has one
    by_external_id: Sequence[User | None]


class MatchedUsers:
    """The users of a source, each with the account: iterate once over chunks of them.

    Args:
        transport: of the control plane.
        source: the users.
        outcome: what a refusal says about the accounts.
        by_email_only: whether external ids are ignored.
        damaged_fields: see `Policy`.
        is_needed: whether a chunk without external ids has to be looked up.
        on_progress: see `OnProgress`.
    """

    def __init__(
        self,
        transport: ComparisonCalls,
        source: UserSource,
        outcome: str,
        *,
        by_email_only: bool = False,
        damaged_fields: tuple[str, ...] = (),
        is_needed: Callable[[], bool] = lambda: True,
        on_progress: OnProgress = lambda *_: None,
    ) -> None:
        self._transport = transport
        self._source = source
        self._outcome = outcome
        self._by_email_only = by_email_only
        self._is_needed = is_needed
        self._on_progress = on_progress
        self._policy = Policy(damaged_fields=damaged_fields)
        self._reading = source.reading(self._policy, verify=True)
        #: those of the source
        self._external_ids = IdHashes()
        #: where in their chunks users are whose accounts depend on the others, by the first user of
        #: the chunk: whatever an account becomes between the readings, they are matched once
        self._undecided: dict[int, Sequence[int]] = {}
        #: users who have the number of one account and the email of another, by their positions
        self.conflicts: dict[int, tuple[CheckedUser, Conflict]] = {}
        #: users that were read
        self.count: int = 0

    def __iter__(self) -> Iterator[Sequence[MatchedUser]]:
        """Iterate over the users in their order, and then over those that depend on others.

        Raises:
            BatchRefused: users are wrong. It comes last.
        """
        every = self._chunks(self._reading, "Reading")
        try:
            yield from map(self._matched_first, self._look_up_all(filter(self._is_wanted, every)))
        except AnyscaleError:
            # A wrong file is reported also if the control plane cannot be reached.
            self._check_rest(every)
            raise
        self._check_rest(every)
        self._external_ids.sort()
        if self._undecided:
            for chunk in self._look_up_again(self._undecided.__contains__):
                yield self._matched(chunk, self._undecided[chunk.first])
        self._source.check_unchanged()

    def refuse(self, faults: Iterable[tuple[int, Fault]]) -> None:
        """Raise a `BatchRefused` if there are faults of users, each with the user's position."""
        problems = ProblemList()
        for index, fault in faults:
            problems.add(Problem(index=index, **fault._asdict()))
        if problems:
            problems.trim()
            raise BatchRefused(map(self.located, problems), problems.more, self._outcome)

    def rest(self, first: int) -> Iterator[Sequence[MatchedUser]]:
        """Iterate once more over the users from a position on, that of the first one of a chunk."""
        for chunk in self._look_up_again(lambda start: start >= first):
            yield self._matched(chunk, range(len(chunk.users)))

    def locate(self, index: int) -> Problem:
        """Return a problem with the place of the email of a user, if the source has places."""
        return self.located(Problem(index=index, code="", detail=""))

    def located(self, problem: Problem) -> Problem:
        """Add to a problem of a user the place of the email, as `locate` returns it."""
        (placed,) = self._reading.locate([problem])
        return placed

    def _chunks(self, reading: Reading, step: str) -> Iterator[_Chunk]:
        first = 0
        for chunk in chunks(reading, CHUNK):
            self._on_progress(step, *self._source.progress())
            external_ids = list(filter(None, map(_external_id, chunk.users)))
            yield _Chunk(first, chunk.users, external_ids)
            first += len(chunk.users)

    def _is_wanted(self, chunk: _Chunk) -> bool:
        """Return whether a chunk of the first reading is to be looked up; keep its external ids."""
        self.count += len(chunk.users)
        for external_id in chunk.external_ids:
            self._external_ids.add(external_id)
        return not self._reading.problems and (bool(chunk.external_ids) or self._is_needed())

    def _check_rest(self, rest: Iterable[_Chunk]) -> None:
        """Read the users that are left; raise `BatchRefused` if any of the reading was wrong."""
        for _ in rest:
            pass
        if problems := self._reading.problems:
            raise BatchRefused(problems, problems.more, self._outcome)

    def _look_up_again(self, is_wanted: Callable[[int], bool]) -> Iterator[_LookedUpChunk]:
        every = self._chunks(self._source.reading(self._policy, verify=True), "Comparing")
        yield from self._look_up_all(chunk for chunk in every if is_wanted(chunk.first))

    def _look_up_all(self, to_look_up: Iterable[_Chunk]) -> Iterator[_LookedUpChunk]:
        """Look users up chunk by chunk; over HTTP while the next chunk is read.

        The control plane of this process would take as long from the reading: SQLite gives back the
        interpreter's lock for each row, and another thread would only wait for it.
        """
        transport = self._transport
        if transport.reservations_at_once == 1:
            yield from map(self._look_up, to_look_up)
            return
        from anyscale.batch_run.bounded_executor import BoundedExecutor

        with BoundedExecutor[_LookedUpChunk](
            transport.reservations_at_once, transport.cancel_retries, transport.on_notice
        ) as executor:
            for chunk in to_look_up:
                yield from executor.submit(partial(self._look_up, chunk))
            yield from executor.drain()

    def _look_up(self, chunk: _Chunk) -> _LookedUpChunk:
        first, users, external_ids = chunk
        emails = [user.email for user in users]
        if self._by_email_only or not external_ids:
            return _LookedUpChunk(first, users, self._transport.users.find(emails, []), [])
        found = self._transport.users.find(emails, external_ids)
        with_id = iter(found[len(emails) :])
        by_id = [next(with_id) if user.external_id else None for user in users]
        return _LookedUpChunk(first, users, found[: len(emails)], by_id)

    def _matched_first(self, chunk: _LookedUpChunk) -> list[MatchedUser]:
        """Match the users of a chunk, and keep where those are that depend on the source."""
        has_ids = chunk.by_external_id or any(map(_external_id, filter(None, chunk.by_email)))
        if self._by_email_only or not has_ids:
            return list(zip(count(chunk.first), chunk.users, chunk.by_email, strict=False))
        matched: list[MatchedUser] = []
        undecided = array("H")
        by_ids = chunk.by_external_id or repeat(None)
        for index, (user, by_email, by_id) in enumerate(
            zip(chunk.users, chunk.by_email, by_ids, strict=False), chunk.first
        ):
            # Nearly all are clear: `match` would return the same.
            if by_id is None and (by_email is None or by_email.external_id is None):
                matched.append((index, user, by_email))
            elif depends_on_file(user, by_email):
                undecided.append(index - chunk.first)
            else:
                matched += self._decided(index, user, by_email, by_id)
        if undecided:
            self._undecided[chunk.first] = undecided
        return matched

    def _matched(self, chunk: _LookedUpChunk, positions: Sequence[int]) -> list[MatchedUser]:
        """Match the users at some positions of a chunk, when all external ids are known."""
        matched: list[MatchedUser] = []
        for at in positions:
            by_id = chunk.by_external_id[at] if chunk.by_external_id else None
            index, user, by_email = chunk.first + at, chunk.users[at], chunk.by_email[at]
            matched += self._decided(index, user, by_email, by_id)
        return matched

    def _decided(
        self, index: int, user: CheckedUser, by_email: User | None, by_id: User | None
    ) -> list[MatchedUser]:
        """Match a user, or add to the conflicts why no account can be chosen."""
        found = match(user, by_id, by_email, is_in_file=self._external_ids.__contains__)
        if found.conflict:
            self.conflicts[index] = user, found.conflict
            return []
        return [(index, user, found.account)]
