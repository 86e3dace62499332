"""What stops a sync: more steps than a limit allows, or entries that may be mistyped."""

from collections.abc import Iterator

from msgspec import Struct

from anyscale.comparison.sync_options import SyncOptions
from anyscale.domain.models.sync import StepKind, SyncPlan, SyncStep

#: steps that no number has to confirm: so many, or one account of `_SHARE` if that is more
_MANY, _SHARE = 50, 10


class ExceededLimit(Struct, frozen=True):
    """More steps of a kind than a limit allows.

    Attributes:
        kind: of the steps.
        count: how many there are; of corrections without a limit of the caller, how many replace a
            name, an email or a number, clear a value, or end SSO.
        limit: that of the caller; None for the one that holds without it.
    """

    kind: StepKind
    count: int
    limit: int | None


def default_limit(accounts: int) -> int:
    """Return how many of these accounts may change before a person has to confirm the number.

    Those of people who left are not among them: after some years, they are more than the others.
    In a sync these are suspensions, or changes of how users are known: a file may be cut off, or of
    another organization, or have lost the zeros of its numbers in a spreadsheet.
    """
    return max(_MANY, accounts // _SHARE)


def limit_question(what: str, accounts: int) -> str:
    """Return the beginning of the sentence that asks for the number."""
    return f"{what}, of {accounts:,} accounts: if that is right"


def _is_grave(step: SyncStep) -> bool:
    """Return whether a correction replaces how a user is known, clears a value, or ends SSO.

    A column may be empty by mistake, or of other people. Without SSO, an account is unlinked from
    the identity provider. An account that gets its first value loses nothing.
    """
    assert step.changes
    assert step.replaced
    new, old = step.changes.to_dict(), step.replaced.to_dict()
    if new.get("is_sso_user") is False:
        return True
    return any(old[field] and (field != "title" or not new[field]) for field in new)


def exceeded_limits(plan: SyncPlan, options: SyncOptions) -> Iterator[ExceededLimit]:
    """Iterate over the limits that a plan passes."""
    limits: dict[StepKind, int | None] = {
        "create": options.at_most_create,
        "correct": options.at_most_correct,
        "suspend": options.at_most_suspend,
    }
    for kind, limit in limits.items():
        count = len(getattr(plan, kind))
        if limit is not None and count > limit:
            yield ExceededLimit(kind, count, limit)
    most = default_limit(plan.accounts)
    grave = sum(map(_is_grave, plan.correct))
    if options.at_most_suspend is None and len(plan.suspend) > most:
        yield ExceededLimit("suspend", len(plan.suspend), None)
    if options.at_most_correct is None and grave > most:
        yield ExceededLimit("correct", grave, None)


def count_unidentified(plan: SyncPlan, *, create: bool) -> int:
    """Count the entries that have no account and get none, in a plan of all kinds of steps.

    An email may be mistyped, and its user would be suspended. Those without a name get none, and
    without `create` nobody does.
    """
    new = [step.changes for step in plan.left if step.user_id is None]
    nameless = sum(not changes.name for changes in new if changes)
    return nameless if create else nameless + len(plan.create)


def stop_reasons(plan: SyncPlan, options: SyncOptions, unidentified: int) -> Iterator[str]:
    """Iterate over the reasons why a plan is not done, in the words of the command.

    Args:
        plan: of the chosen kinds of steps.
        options: of the caller.
        unidentified: see `count_unidentified`.
    """
    for one in exceeded_limits(plan, options):
        yield _in_words(one, plan.accounts)
    if not plan.checked:
        yield "there are no users: every account would be suspended"
    if plan.suspend and unidentified:
        what = "without an account" + (" and without a name" if options.create else "")
        way = "" if options.create else ": use `--create` too, or correct the file"
        yield (
            f"{unidentified:,} {what}: an email may be mistyped, and its user would be suspended"
            f"{way}"
        )


def _in_words(one: ExceededLimit, accounts: int) -> str:
    if one.limit is not None:
        return f"{one.count:,} to {one.kind}, and `--at-most-{one.kind}` is {one.limit:,}"
    replaced = "get another name, email or number, or to lose a value or SSO"
    what = replaced if one.kind == "correct" else one.kind
    doubt = limit_question(f"{one.count:,} to {what}", accounts)
    return f"{doubt}, allow that number by `--at-most-{one.kind}`"
