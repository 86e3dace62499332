"""Accounts to suspend and entries to create that have the same name: they may be one person."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from anyscale.comparison.sync_steps import change_digest, identity_of, significant
from anyscale.domain.matching import folded
from anyscale.domain.models.sync import SyncStep


class Namesakes:
    """Accounts to suspend that have one name, and one number or none."""

    def __init__(self) -> None:
        self.accounts = list[SyncStep]()

    @cached_property
    def digest(self) -> str:
        """What stands for the accounts: entries of one name share it."""
        return change_digest([(one.user_id, identity_of(one.expected)) for one in self.accounts])


def look_alikes(
    suspend: Iterable[SyncStep], create: Iterable[SyncStep]
) -> Iterator[tuple[SyncStep, Sequence[Namesakes]]]:
    """Iterate over the entries to create that may be the person of an account to suspend.

    Each has all accounts that it may be the person of, those of the first one first.
    """
    by_name = defaultdict[str, Namesakes](Namesakes)
    # By number as well: else a file with new numbers would compare each two of one name.
    by_number = defaultdict[tuple[str, str | None], Namesakes](Namesakes)
    for step in suspend:
        assert step.expected
        name = folded(step.name)
        for group in (by_name[name], by_number[name, significant(step.expected.external_id)]):
            group.accounts.append(step)
    for entry in create:
        assert entry.changes
        name, number = folded(entry.name), significant(entry.changes.external_id)
        if number is None:
            groups = [by_name.get(name)]
        else:
            groups = [by_number.get((name, one)) for one in (number, None)]
        if found := sorted(filter(None, groups), key=lambda one: one.accounts[0].user_id or ""):
            yield entry, found
