"""Accounts to suspend and entries to create that have the same name: they may be one person."""

from collections.abc import Iterable, Iterator

from anyscale.comparison.sync_steps import significant
from anyscale.domain.matching import folded
from anyscale.domain.models.sync import LookAlike, SyncStep


def look_alikes(suspend: Iterable[SyncStep], create: Iterable[SyncStep]) -> Iterator[LookAlike]:
    """Iterate over the entries to create that may be the person of an account to suspend."""
    by_name = dict[str, SyncStep]()
    # By number as well: else a file with new numbers would compare each two of one name.
    by_number = dict[tuple[str, str | None], tuple[int, SyncStep]]()
    for at, step in enumerate(suspend):
        assert step.expected
        name = folded(step.name)
        by_name.setdefault(name, step)
        by_number.setdefault((name, significant(step.expected.external_id)), (at, step))
    for entry in create:
        assert entry.changes
        name, number = folded(entry.name), significant(entry.changes.external_id)
        if number is None:
            leaver = by_name.get(name)
        else:
            alike = [by_number.get((name, one)) for one in (number, None)]
            _, leaver = min(filter(None, alike), default=(0, None))
        if leaver:
            yield LookAlike(leaver, entry)
