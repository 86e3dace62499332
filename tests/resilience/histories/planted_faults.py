"""Faults that a test plants, so that it is seen that histories find them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from anyscale.comparison import rules_of_entries, rules_of_plans
from anyscale.comparison.corrections import Correction, _change
from anyscale.comparison.draft_plan import DraftPlan
from anyscale.domain.matching import Match
from anyscale.domain.models.users import EmailChange, User, UserChanges
from anyscale.domain.validation import CheckedUser
from anyscale.server.core.accounts.update import UserUpdateService


class Fault(NamedTuple):
    """Other values of functions and constants, by their full names, and in which rounds it shows.

    `special` is that of `History.run`.
    """

    name: str
    planted: Mapping[str, object]
    special: str = ""


def nothing(*_: object, **__: object) -> None:
    """Do nothing, in place of a check."""


def none_of(*_: object, **__: object) -> list[object]:
    """Find nothing."""
    return []


def _no(*_: object, **__: object) -> bool:
    return False


def _by_email_only(user: object, by_external_id: object, by_email: Any, **_: object) -> Match:
    return Match(by_email)


def _one_by_one(service: UserUpdateService, changes: Sequence[EmailChange], caller: Any) -> None:
    for one in changes:
        new = UserChanges(email=one.email)
        service.update(caller, one.user_id, new, one.expected)


def _correct_one_by_one(
    transport: Any, corrections: Sequence[Correction]
) -> Iterator[tuple[Correction, str | None]]:
    for one in corrections:
        yield one, _change(transport, [one])


def _suspended_for_ever(draft: DraftPlan, index: int, _: object, account: User) -> bool:
    if account.suspended_at is None:
        return False
    draft.leave_account(account, "it is suspended", index)
    return True


def _correct_owners(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    if account.permission_level != "owner":
        return False
    collaborator = structs.replace(account, permission_level="collaborator")
    return rules_of_entries._correct(draft, index, user, collaborator)


def _rules_with(replaced: object, rule: object) -> dict[str, object]:
    """Return the rules of entries with an account, with another one in place of one of them."""
    rules = [replaced if one is rule else one for one in rules_of_entries._WITH_ACCOUNT]
    return {f"{rules_of_entries.__name__}._WITH_ACCOUNT": tuple(rules)}


def _rules_without(rule: object) -> dict[str, object]:
    """Return the rules of plans without one of them."""
    rules = [one for one in rules_of_plans._RULES if one is not rule]
    return {f"{rules_of_plans.__name__}._RULES": tuple(rules)}


_SERVER = "anyscale.server.core.accounts"
_EMAILS = f"{_SERVER}.email_changes"

FAULTS = (
    Fault(
        "the number does not find the account",
        {"anyscale.comparison.matched_users.match": _by_email_only},
    ),
    Fault(
        "a sync corrects owners",
        {
            **_rules_with(_correct_owners, rules_of_entries._leave_owner),
        },
    ),
    Fault(
        "a file that is cut off is accepted",
        {"anyscale.cli.user.sync.require_end": nothing},
        "cut off",
    ),
    Fault("the email of an owner is passed on", {f"{_SERVER}.update._refuse_owner": nothing}),
    Fault(
        "the last owner may leave", {f"{_SERVER}.lifecycle._Locked.require_another_owner": nothing}
    ),
    Fault("two spellings are two emails", {f"{_EMAILS}.email_key": str}),
    Fault("taken emails are not looked for", {f"{_EMAILS}._refuse_taken": nothing}),
    Fault(
        "a batch ignores freed emails",
        {"anyscale.server.core.batches.chunks.NewChunk._take_freed": none_of},
    ),
    Fault(
        "a sync restores nobody",
        _rules_with(_suspended_for_ever, rules_of_entries._leave_suspended_by_hand),
    ),
    Fault(
        "reserved numbers are given to accounts",
        {f"{_SERVER}.update._reserve_external_id": nothing},
    ),
    Fault(
        "emails are passed on one by one",
        {f"{_SERVER}.update.UserUpdateService.change_emails": _one_by_one},
    ),
    Fault(
        "a sync passes emails on one by one",
        {"anyscale.comparison.sync_run.correct_emails": _correct_one_by_one},
    ),
    Fault(
        "a plan is done whatever has changed",
        {
            f"{_SERVER}.update.require_expected": nothing,
            f"{_SERVER}.lifecycle.require_expected": nothing,
        },
    ),
    Fault(
        "an old file suspends who has another email",
        _rules_without(rules_of_plans.leave_accounts_with_former_emails),
    ),
    Fault("nobody looks alike", _rules_without(rules_of_plans.ask_about_look_alikes)),
    Fault(
        "an email that is given up goes to a new user",
        _rules_without(rules_of_plans.create_nobody_with_an_email_that_is_given_up),
    ),
    Fault(
        "a number opens the account of another person",
        {"anyscale.comparison.rules_of_entries.doubt_of": nothing},
    ),
    Fault(
        "an undo deletes accounts that were used",
        {"anyscale.server.core.batches.undo._reason": nothing},
    ),
    Fault("freed emails are given to others", {f"{_EMAILS}._refuse_freed": nothing}),
    Fault(
        "who has the email of a leaver is back",
        {"anyscale.domain.matching._doubt_of_return": nothing},
    ),
)
