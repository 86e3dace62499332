"""Compare users with their accounts, chunk by chunk, without passwords."""

import math
from collections.abc import Container, Iterator, Sequence

from msgspec import structs

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.differences import (
    different_fields,
    gets_email,
    values_to_compare,
)
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.list_users import list_users
from anyscale.comparison.lost_letters import TEXTS, lost_letters
from anyscale.comparison.matched_users import CHUNK, MatchedUser, MatchedUsers, OnProgress
from anyscale.domain.matching import Doubt, doubt_of
from anyscale.domain.models.users import Difference, User
from anyscale.domain.schemas.users import USER_PAGE
from anyscale.domain.user_query import UserQuery
from anyscale.domain.user_sources import UserSource
from anyscale.domain.validation import CheckedUser, Fault

#: After this number of differences, some megabytes, the first reading compares no more.
_KEPT = 10_000


class Verification:
    """Compares the users of a source with their accounts.

    Reading a file takes more than half of the time, so one reading both checks and compares its
    users. A second one compares the rest if the first one has found more than it can keep.

    Args:
        transport: of the control plane.
        source: the users.
        keep_ids: whether `extra` will be called: it needs 8 bytes for each user.
        same_person: external ids, or emails of users without one, whose accounts are theirs, as the
            administrator says.
        on_progress: see `OnProgress`.
    """

    def __init__(
        self,
        transport: ComparisonCalls,
        source: UserSource,
        *,
        keep_ids: bool = False,
        same_person: Container[str] = (),
        on_progress: OnProgress = lambda *_: None,
    ) -> None:
        self._transport = transport
        self._same_person = same_person
        self._source = source
        self._matched = MatchedUsers(
            transport,
            source,
            "nothing was compared",
            damaged_fields=TEXTS,
            is_needed=lambda: self._is_open,
            on_progress=on_progress,
        )
        #: the position of the first user that the first reading does not compare
        self._end: float = math.inf
        self._seen = IdHashes() if keep_ids else None
        #: values that have lost letters, each with the position of its user
        self._damaged: list[tuple[int, Fault]] = []
        #: users that were compared so far
        self.checked: int = 0

    def differences(self) -> Iterator[Difference]:
        """Check all users of the source, then iterate over their differences, in their order.

        Raises:
            BatchRefused: entries are wrong or damaged, before the first difference; among
                thousands of differences, those that the first reading did not compare at the end.
        """
        yield from self._check_all()
        for matched in () if self._is_open else self._matched.rest(self.checked):
            yield from self._compare(matched)
        self._matched.refuse(self._damaged)
        self.checked = self._matched.count
        self._source.check_unchanged()

    def extra(self) -> Iterator[User]:
        """Iterate over the accounts that the source lacks, after the end of `differences`.

        It may miss one of two accounts whose ids have the same hash of 64 bits.
        """
        assert self._seen is not None
        self._seen.sort()
        for user in list_users(self._transport, UserQuery(), None, USER_PAGE):
            if user.user_id not in self._seen:
                yield user

    def _check_all(self) -> list[Difference]:
        """Check all users; compare them until `_KEPT` differences are found, and return these."""
        kept: list[Difference] = []
        for matched in self._matched:
            if matched and matched[0][0] < self._end:
                kept += self._compare(matched)
                # Users that depend on others come last.
                kept.sort(key=lambda difference: difference.index)
                if len(kept) >= _KEPT:
                    self._end = (kept[_KEPT - 1].index // CHUNK + 1) * CHUNK
                    kept = [one for one in kept if one.index < self._end]
            del matched  # it is freed now, while it is in the cache of the processor
        for index, (user, conflict) in self._matched.conflicts.items():
            self._note_damage(index, user, conflict.accounts[0])
        self._matched.refuse(self._damaged)
        for index, (user, conflict) in self._matched.conflicts.items():
            for account in conflict.accounts:
                self._note_seen(account)
            kept.append(self._question(index, user, conflict.accounts[0], conflict.detail))
        kept.sort(key=lambda difference: difference.index)
        self.checked = int(min(self._end, self._matched.count))
        return kept

    @property
    def _is_open(self) -> bool:
        """Whether the first reading still compares: it has found few differences so far."""
        return self._end == math.inf

    def _compare(self, matched: Sequence[MatchedUser]) -> Iterator[Difference]:
        values = values_to_compare([user for _, user, _ in matched])
        for index, user, account in matched:
            if account is None:
                self._note_damage(index, user, None)
                yield self._difference(index, user, "missing")
                continue
            self._note_seen(account)
            is_equal = values(user) == values(account)
            if not is_equal or account.suspended_at is not None:
                self._note_damage(index, user, account)
                if doubt := self._doubt_of(user, account):
                    yield self._question(index, user, account, doubt.detail)
                    continue
            # The email comes first: it says which account the other differences are of.
            if not is_equal and gets_email(user, account):
                yield self._difference(index, user, "different", account, "email")
            if account.suspended_at is not None and not user.suspended:
                yield self._difference(index, user, "suspended", account)
            if not is_equal:
                for field in different_fields(user, account):
                    yield self._difference(index, user, "different", account, field)

    def _doubt_of(self, user: CheckedUser, account: User) -> Doubt | None:
        is_said = (user.external_id or user.email) in self._same_person
        # No file changes an owner: there is nothing to ask.
        if is_said or account.permission_level == "owner":
            return None
        return doubt_of(user, account)

    def _note_damage(self, index: int, user: CheckedUser, account: User | None) -> None:
        self._damaged += ((index, fault) for fault in lost_letters(user, account))

    def _note_seen(self, account: User) -> None:
        if self._seen is not None:
            self._seen.add(account.user_id)

    def _question(self, index: int, user: CheckedUser, account: User, reason: str) -> Difference:
        """Return the difference that the account may be another person's: a sync asks about it."""
        question = self._difference(index, user, "question", account)
        return structs.replace(question, reason=reason)

    def _difference(
        self,
        index: int,
        user: CheckedUser,
        kind: str,
        account: User | None = None,
        field: str | None = None,
    ) -> Difference:
        placed = self._matched.locate(index)
        return Difference(
            index=index,
            line=placed.line,
            column=placed.column,
            cell=placed.cell,
            email=user.email,
            kind=kind,
            field=field,
            file=getattr(user, field) if field else None,
            account=getattr(account, field) if field else None,
            user_id=account.user_id if account else None,
            kept=bool(account and account.permission_level == "owner" and field),
        )
