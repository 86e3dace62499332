"""Accounts to suspend and entries to create that have the same name: they may be one person."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice, takewhile

from anyscale.comparison.sync_steps import change_digest, identity_of, significant
from anyscale.domain.characters import LOST_LETTERS, has_lost_letters, may_lack_letters
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

    Each has all accounts that it may be the person of, those of the first one first. The name of an
    account may lack letters that the entry has.
    """
    by_name = defaultdict[str, Namesakes](Namesakes)
    # By number as well: else a file with new numbers would compare each two of one name.
    by_number = defaultdict[tuple[str, str | None], Namesakes](Namesakes)
    for step in suspend:
        assert step.expected
        name = folded(step.name)
        for group in (by_name[name], by_number[name, significant(step.expected.external_id)]):
            group.accounts.append(step)
    entries = list(create)
    damaged = defaultdict[str, list[str]](list)
    for text, name in names_with_lost_letters(by_name, (folded(one.name) for one in entries)):
        damaged[name].append(text)
    for entry in entries:
        assert entry.changes
        name, number = folded(entry.name), significant(entry.changes.external_id)
        names = [name, *damaged[name]]
        if number is None:
            groups = [by_name.get(one) for one in names]
        else:
            groups = [by_number.get((one, of)) for one in names for of in (number, None)]
        if found := sorted(filter(None, groups), key=lambda one: one.accounts[0].user_id or ""):
            yield entry, found


def names_with_lost_letters(
    damaged: Iterable[str], whole: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Iterate over the names that lack letters, each with a name that it is without its letters.

    Args:
        damaged: folded names, of which those with `?` or U+FFFD count.
        whole: folded names.
    """
    texts = {text for text in damaged if may_lack_letters(text)}
    if not texts:
        return
    names = sorted(set(whole))
    backwards = sorted(name[::-1] for name in names)
    for text in texts:
        # With what stands before or after all signs, few names are compared.
        start, end = (LOST_LETTERS.split(one, maxsplit=1)[0] for one in (text, text[::-1]))
        if len(start) >= len(end):
            candidates = _beginning_with(start, names)
        else:
            candidates = [name[::-1] for name in _beginning_with(end, backwards)]
        yield from ((text, name) for name in candidates if has_lost_letters(text, name))


def _beginning_with(start: str, names: Sequence[str]) -> Sequence[str]:
    """Return the names, of sorted ones, that begin with a text."""
    first = bisect_left(names, start)
    return list(takewhile(lambda name: name.startswith(start), islice(names, first, None)))
