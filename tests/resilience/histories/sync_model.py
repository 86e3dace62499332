"""A model of a sync: what it may do to the accounts, by docs/operations/sync.md.

It is a generator that stops before each moment at which another client may change something.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.resilience.histories.model import Model, Refused, key_of
from tests.resilience.histories.steps import Sync
from tests.resilience.histories.sync_plan import Correction, Moments, Planning, all_of

from anyscale.domain.models.users import EmailChange, ExpectedUser

#: What a sync yields is nothing; what it returns is its outcome, as `Client.take` does.
Progress = Generator[None, None, object]


@dataclass
class Done:
    """What a sync has done so far."""

    created: int = 0
    corrected: int = 0
    restored: int = 0
    suspended: int = 0
    left: set[tuple[str | None, int | None]] = field(default_factory=set)

    def outcome(self) -> object:
        counts = self.created, self.corrected, self.restored, self.suspended
        return (*counts, frozenset(self.left))


class SyncModel:
    """A sync of one client.

    Args:
        model: of the control plane, which other clients change too.
        sync: the file and the options.
        lists_in_advance: see `Planning`.
    """

    def __init__(self, model: Model, sync: Sync, *, lists_in_advance: bool | None) -> None:
        self._model = model
        self._entries = sync.entries
        self._planning = Planning(model, sync, lists_in_advance=lists_in_advance)
        self._plan = self._planning.plan
        self._done = Done()

    def run(self) -> Progress:
        """Plan the sync and do it."""
        yield
        try:
            yield from self._planning.make()
        except Refused as error:
            return error.outcome
        if self._plan.is_stopped:
            return self._plan.outcome(None)
        try:
            yield from self._apply()
        except Refused:
            return "batch_unfinished"
        return self._plan.outcome(self._done.outcome())

    # What it does

    def _apply(self) -> Moments:
        plan, model = self._plan, self._model
        for index, account in plan.restore:
            yield
            with self._leaving(account.user_id, index):
                expected = all_of(account, is_suspended=True)
                model.restore(account.user_id, "sync", expected, keep_owner=True)
                self._done.restored += 1
        with_email = list[Correction]()
        for one in plan.correct:
            if one.details:
                yield
            with self._leaving(one.user_id, one.at):
                self._correct_details(one)
                if one.new_email:
                    with_email.append(one)
                else:
                    self._done.corrected += 1
        yield from self._correct_emails(with_email)
        for account in plan.suspend:
            yield
            with self._leaving(account.user_id, None):
                expected = all_of(account, is_suspended=False)
                model.suspend(account.user_id, "sync", expected, keep_owner=True)
                self._done.suspended += 1
        yield
        self._create()

    @contextmanager
    def _leaving(self, user_id: str, index: int | None) -> Iterator[None]:
        try:
            yield
        except Refused:
            self._done.left.add((user_id, index))

    def _correct_details(self, one: Correction) -> None:
        if one.details:
            expected = dict(one.expected)
            if one.new_email:
                del expected["email"]
            self._model.update(one.user_id, one.details, expected)

    def _correct_emails(self, corrections: Sequence[Correction]) -> Moments:
        chains = _chains(corrections)
        for chain in chains:
            if len(chain) > 1:
                yield
                self._change_emails(chain)
        single = [chain[0] for chain in chains if len(chain) == 1]
        yield
        if self._change_emails(single, leave=False):
            return
        for one in single:
            yield
            self._change_emails([one])

    def _change_emails(self, corrections: Sequence[Correction], *, leave: bool = True) -> bool:
        """Change emails at one moment; return whether that was not refused."""
        changes = [
            EmailChange(one.user_id, one.new_email, ExpectedUser(**{**one.expected, **one.details}))  # type: ignore[arg-type]  # of the right types
            for one in corrections
        ]
        try:
            self._model.change_emails(changes)
        except Refused:
            if leave:
                self._done.left |= {(one.user_id, one.at) for one in corrections}
            return False
        self._done.corrected += len(corrections)
        return True

    def _create(self) -> None:
        indexes = self._plan.create
        if indexes:
            users = [self._entries[at] for at in indexes]
            self._done.created, skipped = self._model.create(users, "skip")
            self._done.left |= {(None, indexes[at]) for at in skipped}


def _chains(corrections: Sequence[Correction]) -> list[list[Correction]]:
    """Return the corrections, those together of which one gets the email of another."""
    chains = list[list[Correction]]()
    for one in corrections:
        keys = {key_of(one.new_email), key_of(one.old_email)}
        touched = [chain for chain in chains if _keys(chain) & keys]
        if not touched:
            chains.append([one])
            continue
        first, *others = touched
        for chain in others:
            chains.remove(chain)
            first += chain
        first.append(one)
    return chains


def _keys(chain: Iterable[Correction]) -> set[str]:
    return {key_of(email) for one in chain for email in (one.new_email, one.old_email)}
