"""Choose the accounts that a file says to suspend or restore, and do it; owners are kept."""

from itertools import chain

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.matched_users import MatchedUsers, OnProgress
from anyscale.domain.models.users import User
from anyscale.domain.user_sources import UserSource
from anyscale.errors import NotFound, OwnerKept

_OUTCOME = "nothing was changed"


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

    def add(self, account: User) -> None:
        # Otherwise a sync would restore it.
        by_hand = self.suspend and account.suspended_by_sync
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
        if account is None:
            plan.without_account.append(user.email)
        else:
            plan.add(account)
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
