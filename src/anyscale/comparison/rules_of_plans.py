"""Which steps of a plan are left out because of other accounts: each rule, in its order."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from msgspec import UNSET, structs

from anyscale.comparison.draft_plan import DraftPlan, Unique
from anyscale.comparison.look_alikes import Namesakes, look_alikes, names_with_lost_letters
from anyscale.comparison.questions import question_of_look_alike
from anyscale.comparison.sync_limits import count_unidentified, stop_reasons
from anyscale.comparison.sync_options import choose_kinds
from anyscale.comparison.sync_steps import are_different, shown_changes
from anyscale.domain.conflicts import FREED_DAYS
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.matching import folded
from anyscale.domain.models.sync import LookAlike, SyncStep
from anyscale.domain.validation import shown

_NAMESAKE = "a row with this name is in question or waits: it may be this person"
_IN_QUESTION = "there is a question about this account: answer it first"


def apply_rules(draft: DraftPlan) -> None:
    """Apply the rules, each to what the ones before have left."""
    for rule in _RULES:
        rule(draft)


def leave_accounts_of_questions(draft: DraftPlan) -> None:
    """Leave each account of a question, even if another entry is surely its person."""
    for kind in ("correct", "restore", "suspend"):
        draft.leave_steps(kind, lambda step: _IN_QUESTION if step.user_id in draft.asked else None)


def leave_accounts_with_former_emails(draft: DraftPlan) -> None:
    """Suspend no account of which the file has an email that it had before.

    An entry with another number is of somebody else. Any other creates no account.
    """
    users = draft.former_holders

    def reason_of(step: SyncStep) -> str | None:
        assert step.expected
        user = users.get(step.user_id or "")
        if user is None or are_different(user.external_id, step.expected.external_id):
            return None
        return "its email was changed, and the file has the former one"

    left = draft.leave_steps("suspend", reason_of)
    _create_nobody(draft, {users[step.user_id or ""].email_key: _is_former(step) for step in left})


def leave_refused_emails(draft: DraftPlan) -> None:
    """Correct all but the emails that no other account gets yet."""
    blocked = _leave_field(draft, "email", draft.refused_emails)
    draft.keep_emails(step.email for step in blocked)


def leave_refused_numbers(draft: DraftPlan) -> None:
    """Correct all but the numbers that an open batch has reserved."""
    _leave_field(draft, "external_id", draft.refused_numbers)


def ask_about_look_alikes(draft: DraftPlan) -> None:
    """Neither suspend nor create those who may be one person."""
    plan, options = draft.plan, draft.options
    if not (options.create or options.suspend_missing):
        return
    namesakes, emails = set[Namesakes](), set[str]()
    for entry, groups in look_alikes(plan.suspend, plan.create):
        question = question_of_look_alike(entry, groups)
        if options.answers.get(question.change) == "differ":
            continue
        plan.look_alikes.append(LookAlike(groups[0].accounts[0], entry))
        namesakes.update(groups)
        emails.add(entry.email)
        plan.questions.append(question)
    asked = {step.user_id: step for group in namesakes for step in group.accounts}
    draft.keep_emails(step.email for step in asked.values())
    plan.suspend = [step for step in plan.suspend if step.user_id not in asked]
    plan.create = [step for step in plan.create if step.email not in emails]


def leave_namesakes_of_rows_in_question(draft: DraftPlan) -> None:
    """Suspend nobody with the whole name of a row that is in question, or that waits.

    Its email and its number are in doubt, so that the name is all that is known of it.
    """
    plan = draft.plan
    if not plan.suspend:
        return
    waiting = (step.name for step in plan.blocked if step.user_id is None)
    in_question = (one.name for one in plan.questions if one.kind != "look_alike")
    rows = {folded(name) for name in chain(in_question, waiting) if name}
    names = {folded(step.name) for step in plan.suspend}
    rows.update(name for _, name in names_with_lost_letters(list(rows), names))
    rows.update(text for text, _ in names_with_lost_letters(names, rows))
    left = draft.leave_steps(
        "suspend", lambda step: _NAMESAKE if folded(step.name) in rows else None
    )
    draft.keep_emails(step.email for step in left)


def leave_accounts_that_would_get_a_kept_email(draft: DraftPlan) -> None:
    """Leave each account that would get the email of one that is left, and so on.

    Nobody is created with such an email either.
    """
    waiting = {_new_email_key(step): step for step in draft.corrections_of("email")}
    kept, left = set[str](), dict[str | None, str]()
    keys = draft.kept_emails
    while keys:
        kept.add(key := keys.pop())
        if step := waiting.pop(key, None):
            assert step.changes
            left[step.user_id] = _is_kept(str(step.changes.email))
            keys.append(email_key_or_empty(step.email))
    for kind in ("correct", "restore"):
        draft.leave_steps(kind, lambda step: left.get(step.user_id))
    _create_nobody(
        draft,
        {
            key: _is_kept(step.email)
            for step in draft.plan.create
            if (key := email_key_or_empty(step.email)) in kept
        },
    )


def create_nobody_with_an_email_that_is_given_up(draft: DraftPlan) -> None:
    """Create nobody with an email that an account gives up: see `FREED_DAYS`."""
    is_given_up = draft.options.correct  # else the account keeps it
    _create_nobody(
        draft,
        {
            email_key_or_empty(former.email): (
                f"it is the email of {former.name} ({former.user_id}), who gets another one: "
                f"no other account gets it for {FREED_DAYS} days"
                if is_given_up
                else _is_kept(former.email)
            )
            for former in draft.corrections_of("email")
        },
    )


def leave_kinds_that_were_not_chosen(draft: DraftPlan) -> None:
    """Leave out the steps of other kinds, and stop if the rest may not be done.

    It is the last rule: whatever the options leave out, an email that looks mistyped is found.
    """
    plan, options = draft.plan, draft.options
    unidentified = count_unidentified(plan, create=options.create)
    choose_kinds(plan, options)
    plan.stops = list(stop_reasons(plan, options, unidentified))


_RULES: tuple[Callable[[DraftPlan], None], ...] = (
    leave_accounts_of_questions,
    leave_accounts_with_former_emails,
    leave_refused_emails,
    leave_refused_numbers,
    ask_about_look_alikes,
    leave_namesakes_of_rows_in_question,
    leave_accounts_that_would_get_a_kept_email,
    create_nobody_with_an_email_that_is_given_up,
    leave_kinds_that_were_not_chosen,
)


def _leave_field(draft: DraftPlan, field: Unique, refused: Mapping[str, str]) -> list[SyncStep]:
    """Leave a field of accounts, by the `user_id`, but correct the others; return the steps."""
    blocked = draft.leave_steps(
        "correct", lambda step: refused.get(step.user_id or ""), blocked=True
    )
    draft.plan.correct += _corrections_without(blocked, field)
    return blocked


def _corrections_without(steps: list[SyncStep], field: Unique) -> Iterator[SyncStep]:
    for step in steps:
        assert step.changes
        assert step.replaced
        changes = structs.replace(step.changes, **{field: UNSET})
        if changes.to_dict():
            reason = shown_changes(changes, step.replaced)
            yield structs.replace(step, changes=changes, reason=reason)


def _create_nobody(draft: DraftPlan, reasons: Mapping[str, str]) -> None:
    """Create nobody with these emails, by their keys."""
    draft.leave_steps(
        "create", lambda step: reasons.get(email_key_or_empty(step.email)), blocked=True
    )


def _new_email_key(step: SyncStep) -> str:
    assert step.changes
    return email_key_or_empty(str(step.changes.email))


def _is_former(account: SyncStep) -> str:
    return (
        f"{account.name} had this email, and has {account.email} now: if it is the same person, "
        f"write that email into the file; if not, nobody else gets it for {FREED_DAYS} days"
    )


def _is_kept(email: str) -> str:
    return f"{shown(email)} is the email of an account that stays"
