"""Choose the accounts that a file says to suspend or restore, and do it; owners are kept."""

from itertools import chain

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.list_users import list_users
from anyscale.comparison.matched_users import MatchedUsers, OnProgress
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.users import User
from anyscale.domain.schemas.users import USER_PAGE
from anyscale.domain.user_query import UserQuery
from anyscale.domain.user_sources import UserSource
from anyscale.errors import NotFound, OwnerKept

__all__ = ["SuspensionPlan", "change_unless_owner", "plan_missing", "plan_named"]

_OUTCOME = "nothing was changed"

_GOT_SINCE = "it got an email or a number of the file while the accounts were compared"


class SuspensionPlan:
    """The accounts to suspend, or to restore, and the others that a file chooses."""

    def __init__(self, *, suspend: bool) -> None:
        self.suspend = suspend
        self.to_change: list[User] = []
        self.owners: list[User] = []
        #: accounts that are or could not be changed after all, each with the reason
        self.skipped: list[tuple[User, str]] = []
        #: accounts that are in the state already
        self.unchanged: int = 0
        #: emails of the file that have no account
        self.without_account: list[str] = []
        #: users of the file
        self.users = 0

    def add(self, account: User, *, is_named: bool) -> None:
        """Add an account that the file chooses, by naming it or by lacking it."""
        # Otherwise a sync would restore it.
        by_hand = self.suspend and is_named and account.suspended_by_sync
        if (account.suspended_at is not None) == self.suspend and not by_hand:
            self.unchanged += 1
        elif account.permission_level == "owner":
            self.owners.append(account)
        else:
            self.to_change.append(account)


def plan_named(
    transport: ComparisonCalls, source: UserSource, on_progress: OnProgress, *, suspend: bool
) -> SuspensionPlan:
    """Choose the accounts of the users in a file.

    Raises:
        BatchRefused: the file is wrong.
    """
    plan = SuspensionPlan(suspend=suspend)
    matched = MatchedUsers(transport, source, _OUTCOME, by_email_only=True, on_progress=on_progress)
    for _, user, account in chain.from_iterable(matched):
        plan.users += 1
        if account is None:
            plan.without_account.append(user.email)
        else:
            plan.add(account, is_named=True)
    return plan


def plan_missing(
    transport: ComparisonCalls, source: UserSource, on_progress: OnProgress
) -> SuspensionPlan:
    """Choose the accounts to suspend: of the users who are not in a file.

    An account with the email or the number of an entry that had another account has got it since
    the file was read: it is skipped. So is one of which it is not sure whose it is: the file names
    it.

    Raises:
        BatchRefused: the file is wrong.
    """
    plan = SuspensionPlan(suspend=True)
    named, email_keys, numbers = IdHashes(), IdHashes(), IdHashes()
    matched = MatchedUsers(transport, source, _OUTCOME, on_progress=on_progress)
    for _, user, account in chain.from_iterable(matched):
        plan.users += 1
        email_keys.add(user.email_key)
        if user.external_id:
            numbers.add(user.external_id)
        if account is None:
            plan.without_account.append(user.email)
        else:
            named.add(account.user_id)
    for _, conflict in matched.conflicts.values():
        for one in conflict.accounts:
            named.add(one.user_id)
    for hashes in (named, email_keys, numbers):
        hashes.sort()
    for account in list_users(transport, UserQuery(), None, USER_PAGE):
        if account.user_id in named:
            continue
        has_email = email_key_or_empty(account.email) in email_keys
        if has_email or (account.external_id or "") in numbers:
            plan.skipped.append((account, _GOT_SINCE))
        else:
            plan.add(account, is_named=False)
    return plan


def change_unless_owner(transport: ComparisonCalls, user: User, *, suspend: bool) -> str | None:
    """Suspend or restore an account; return why not, or None.

    It may have been deleted, or have become an owner's, since it was chosen.
    """
    change = transport.users.suspend if suspend else transport.users.restore
    try:
        change(user.user_id, keep_owner=True)
    except (NotFound, OwnerKept) as error:
        return str(error)
    return None
