"""People of a plan who may be one person with another name and another email: a hint."""

from collections.abc import Iterator
from itertools import product

from anyscale.comparison.sync_steps import are_different
from anyscale.domain.matching import has_common_name
from anyscale.domain.models.sync import LookAlike, SyncPlan, SyncStep

#: Comparisons of a plan. Among so many, about one pair of two people has a name in common: a larger
#: plan would name mostly those.
_MOST_COMPARED = 200


def possible_pairs(plan: SyncPlan) -> Iterator[LookAlike]:
    """Iterate over accounts to suspend and entries to create that have something in common.

    That is the first or the last name, or the part of the email before the `@`, and no two
    different numbers. Those of questions are not in a plan. A large plan has none.
    """
    if len(plan.create) * len(plan.suspend) > _MOST_COMPARED:
        return
    for entry, leaver in product(plan.create, plan.suspend):
        if _may_be_one(entry, leaver):
            yield LookAlike(leaver, entry)


def _may_be_one(entry: SyncStep, leaver: SyncStep) -> bool:
    assert entry.changes
    assert leaver.expected
    if are_different(entry.changes.external_id, leaver.expected.external_id):
        return False
    is_same_part = _before_at(entry.email) == _before_at(leaver.email)
    return is_same_part or has_common_name(entry.changes, leaver.expected)


def _before_at(email: str) -> str:
    return email.rpartition("@")[0].casefold()
