"""What is done about an entry of a file: the first rule that applies decides."""

from collections.abc import Callable

from anyscale.comparison.draft_plan import DraftPlan
from anyscale.comparison.lost_letters import lacks_letters
from anyscale.comparison.sync_steps import (
    changes_of,
    differing_fields,
    name_of,
    shown_changes,
    step_of_account,
)
from anyscale.domain.matching import doubt_of, has_other_email
from anyscale.domain.models.sync import SyncStep
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser

_ONLY_IN_FILE = "it is suspended in the file, but a sync suspends only users who are missing there"
_LOST_LETTERS = (
    "no account has this email, and the name has `?` where a letter may be lost: write the letters "
    "into the file; save it as an Excel workbook or as CSV UTF-8"
)
_IS_OF_ANOTHER = (
    "it is another person, and the {what} is that of {name}: change the {what} of that account, or "
    "delete it, before this one can be created"
)


def decide_without_account(draft: DraftPlan, index: int, user: CheckedUser) -> None:
    """Decide about an entry that has no account."""
    draft.new.append(user)
    for rule in _WITHOUT_ACCOUNT:
        if rule(draft, index, user):
            return


def decide_with_account(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> None:
    """Decide about an entry that is not as its account, or of which one of both is suspended."""
    for rule in _WITH_ACCOUNT:
        if rule(draft, index, user, account):
            return


def _refuse_damaged(draft: DraftPlan, index: int, user: CheckedUser) -> bool:
    return draft.add_damage(index, user, None)


def _ask_about_letters(draft: DraftPlan, index: int, user: CheckedUser) -> bool:
    options = draft.options
    is_asked = (
        (options.create or options.suspend_missing)
        and lacks_letters(user)
        and not draft.answer_to(user, None)
    )
    if is_asked:
        draft.ask(index, user, "lost_letters", _LOST_LETTERS)
    return is_asked


def _leave_incomplete(draft: DraftPlan, index: int, user: CheckedUser) -> bool:
    if not user.name:
        reason = f"{_no_account(user)}, and without a name none can be created"
    elif user.suspended:
        reason = f"{_no_account(user)}, and the file says that it is suspended"
    else:
        return False
    draft.plan.left.append(_new(index, user, reason, is_created=False))
    return True


def _create(draft: DraftPlan, index: int, user: CheckedUser) -> bool:
    draft.plan.create.append(_new(index, user, _no_account(user), is_created=True))
    return True


_WITHOUT_ACCOUNT: tuple[Callable[[DraftPlan, int, CheckedUser], bool], ...] = (
    _refuse_damaged,
    _ask_about_letters,
    _leave_incomplete,
    _create,
)


def _no_account(user: CheckedUser) -> str:
    return "no account has this email" + (" or this number" if user.external_id else "")


def _new(index: int, user: CheckedUser, reason: str, *, is_created: bool) -> SyncStep:
    values = {field: getattr(user, field) for field in UserChanges.__struct_fields__}
    return SyncStep(
        kind="create" if is_created else "leave",
        email=user.email,
        name=name_of(user),
        reason=reason,
        index=index,
        changes=UserChanges(**values),
    )


def _refuse_damage(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    return draft.add_damage(index, user, account)


def _leave_owner(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    if account.permission_level != "owner":
        return False
    if account.suspended_at is not None:
        draft.leave_account(account, "it is suspended, and an owner's: owners are kept", index)
    elif fields := differing_fields(user, account):
        reason = shown_changes(*changes_of(fields, user, account))
        draft.leave_account(account, f"it is an owner's, which no file changes: {reason}", index)
    return True


def _leave_suspended_in_both(
    draft: DraftPlan, index: int, user: CheckedUser, account: User
) -> bool:
    if account.suspended_at is None or not user.suspended:
        return False
    draft.leave_account(account, "it is suspended, and the file says so too", index)
    return True


def _ask_who_it_is(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    """Whether it is not sure that an account is that of its entry: see `doubt_of`."""
    doubt = doubt_of(user, account)
    answer = draft.answer_to(user, account) if doubt else "same"
    if doubt and answer is None:
        draft.ask(index, user, doubt.kind, doubt.detail, [account])
    elif answer == "differ":
        _add_two_people(draft, index, user, account)
    return answer != "same"


def _leave_suspended_by_hand(draft: DraftPlan, index: int, _: CheckedUser, account: User) -> bool:
    if account.suspended_at is None or account.suspended_by_sync:
        return False
    draft.leave_account(account, "it was suspended manually, and stays suspended", index)
    return True


def _leave_suspended(draft: DraftPlan, index: int, _: CheckedUser, account: User) -> bool:
    """Whether a suspended account stays suspended, and is not corrected either.

    Else an email that was given to another person would first rename the account of the person who
    left, and then open it.
    """
    if account.suspended_at is None or draft.options.restore:
        return False
    reason = "a sync suspended it, and it is in the file again: `--restore` restores it"
    draft.leave_account(account, reason, index)
    return True


def _restore(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    if account.suspended_at is None:
        return False
    reason = "a sync suspended it, and it is in the file again"
    draft.plan.restore.append(step_of_account("restore", account, reason, index))
    return _correct(draft, index, user, account)


def _leave_active(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    if not user.suspended:
        return False
    draft.plan.left.append(step_of_account("leave", account, _ONLY_IN_FILE, index))
    return _correct(draft, index, user, account)


def _correct(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> bool:
    if fields := differing_fields(user, account):
        changes, replaced = changes_of(fields, user, account)
        reason = shown_changes(changes, replaced)
        step = step_of_account("correct", account, reason, index, changes, replaced)
        draft.plan.correct.append(step)
    return True


_WITH_ACCOUNT: tuple[Callable[[DraftPlan, int, CheckedUser, User], bool], ...] = (
    _refuse_damage,
    _leave_owner,
    _leave_suspended_in_both,
    _ask_who_it_is,
    _leave_suspended_by_hand,
    _leave_suspended,
    _restore,
    _leave_active,
    _correct,
)


def _add_two_people(draft: DraftPlan, index: int, user: CheckedUser, account: User) -> None:
    """Add an account that the file lacks, and an entry that waits for its email or number."""
    what = "number" if has_other_email(user, account) else "email"
    reason = _IS_OF_ANOTHER.format(what=what, name=full_name(account.name, account.lastname))
    step = SyncStep(kind="leave", email=user.email, name=name_of(user), reason=reason, index=index)
    draft.plan.blocked.append(step)
    draft.keep_emails([account.email])
    if account.suspended_at is None:
        draft.plan.suspend.append(step_of_account("suspend", account, "it is not in the file"))
