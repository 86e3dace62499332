"""What a sync may do: the kinds of steps, and the answers of the caller."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from anyscale.domain.models.sync import SyncPlan

#: whether an entry and an account are one person or two
Answer = Literal["same", "differ"]


class SyncOptions(Struct, frozen=True, kw_only=True):
    """What a sync may do.

    `same_person` has external ids or emails of entries whose accounts are theirs, `they_differ`
    emails of entries or accounts that are two people, and `renumbered` is how many people have new
    numbers: see `anyscale.comparison.answers`. `answers` has those that hold, `same` or `differ`,
    by the `change` of their questions. A plan of more than `most_steps` is refused, for the sake of
    the memory.
    """

    create: bool = True
    correct: bool = True
    suspend_missing: bool = True
    restore: bool = False
    at_most_create: int | None = None
    at_most_correct: int | None = None
    at_most_suspend: int | None = None
    they_differ: frozenset[str] = frozenset()
    same_person: frozenset[str] = frozenset()
    renumbered: int | None = None
    answers: Mapping[str, Answer] = {}
    most_steps: int | None = None


def choose_kinds(plan: SyncPlan, options: SyncOptions) -> None:
    """Leave out the steps of a plan that are of no chosen kind."""
    if not options.restore:  # a suspended account is corrected only with its restoration
        returning = {step.user_id for step in plan.restore}
        plan.correct = [step for step in plan.correct if step.user_id not in returning]
    chosen = {
        "create": options.create,
        "correct": options.correct,
        "suspend": options.suspend_missing,
        "restore": options.restore,
    }
    for kind, is_chosen in chosen.items():
        if not is_chosen:
            setattr(plan, kind, [])
    if not options.create:
        plan.blocked = [step for step in plan.blocked if step.user_id]
