"""The users that a sync creates, as a source of a batch, and the key of that batch."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from msgspec import json, structs

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.domain.emails import email_key
from anyscale.domain.models.sync import SyncStep
from anyscale.domain.user_sources import ProblemList
from anyscale.domain.validation import CheckedUser, Policy, find_faults
from anyscale.errors import BatchUndone, Problem


class PlannedUsers:
    """The users of steps that create. They have no passwords: a sync sets none.

    Args:
        steps: of a plan.
    """

    def __init__(self, steps: Sequence[SyncStep]) -> None:
        self._steps = steps
        self._read = 0

    @property
    def label(self) -> None:
        """Only the file of the plan has one."""

    def reading(
        self,
        policy: Policy,
        *,
        verify: bool = False,  # noqa: ARG002 - there are no passwords to leave out
    ) -> "_Reading":
        self._read = 0
        return _Reading(self._users(), self._steps, policy)

    def check_unchanged(self) -> None:
        """Do nothing: a plan does not change."""

    def progress(self) -> tuple[int, int]:
        return self._read, len(self._steps)

    def _users(self) -> Iterator[CheckedUser]:
        for step in self._steps:
            self._read += 1
            yield _user(step)


class _Reading:
    """One reading of planned users: see `anyscale.domain.user_sources.Reading`.

    The users were checked before they were planned, but not by the policy of the control plane.
    """

    def __init__(
        self, users: Iterator[CheckedUser], steps: Sequence[SyncStep], policy: Policy
    ) -> None:
        self._users = users
        self._steps = steps
        self._policy = policy
        self.problems = ProblemList()

    def __iter__(self) -> Iterator[CheckedUser]:
        for at, user in enumerate(self._users):
            # All else of a policy is about passwords, which they do not have.
            faults = find_faults({"is_sso_user": user.is_sso_user}, self._policy)
            if not faults:
                yield user
                continue
            self.problems.refused.append(at)
            found = [Problem(index=at, **fault._asdict()) for fault in faults]
            for problem in self.locate(found):
                self.problems.add(problem)

    def take_passwords(self) -> list[tuple[int, str]]:
        return []

    def locate(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        """Give problems the entries and places of their steps."""
        for problem in problems:
            step = self._steps[problem.index or 0]
            yield structs.replace(
                problem, index=step.index, line=step.line, column=step.column, cell=step.cell
            )


def _user(step: SyncStep) -> CheckedUser:
    assert step.changes
    return CheckedUser(email_key=email_key(step.email), **step.changes.to_dict())


class SyncKey:
    """The key of the batch of a sync: the same users have the same one.

    A sync that was killed leaves its batch open. The next one with the same users continues it, and
    none takes a published batch for its own: its accounts may have been deleted since.

    Args:
        transport: of the control plane.
        steps: that create.
    """

    #: A run that fails drops its batch, since the next one may have other users.
    is_resumable = False

    def __init__(self, transport: ComparisonCalls, steps: Sequence[SyncStep]) -> None:
        self._transport = transport
        self._digest = hashlib.sha256(json.encode([step.changes for step in steps])).hexdigest()

    def get_key(self) -> str:
        return self._find()[0]

    def find_key(self) -> str | None:
        key, is_open = self._find()
        return key if is_open else None

    def store_batch(self, batch_id: str) -> None:
        """Do nothing: the users say which key it is."""

    def _find(self) -> tuple[str, bool]:
        """Return the first key without a published batch, and whether it has an open one."""
        for number in count():
            key = f"sync-{self._digest}-{number}"
            try:
                batch = self._transport.batches.find(key)
            except BatchUndone:
                continue
            if batch is None or batch.state == "open":
                return key, batch is not None
        raise AssertionError
