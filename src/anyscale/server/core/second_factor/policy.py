"""Who has to have a second factor, and from when on."""

from typing import Literal

from msgspec import Struct, structs

from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

SecondFactorMode = Literal["off", "optional", "owners", "everyone"]


class SecondFactorPolicy(Struct, frozen=True):
    """`ANYSCALE_SECOND_FACTOR` and `ANYSCALE_SECOND_FACTOR_DAYS`."""

    #: `off`: nobody is asked for one, nor offered one
    mode: SecondFactorMode = "optional"
    #: days that a user may sign in without one, from the first sign-in under the policy
    grace_days: int = 14

    @property
    def is_on(self) -> bool:
        """Whether users who have a second factor are asked for it."""
        return self.mode != "off"

    def is_required(self, account: AccountRecord) -> bool:
        is_owner = account.permission_level == "owner"
        return self.mode == "everyone" or (self.mode == "owners" and is_owner)

    def due_at(self, tx: Transaction, account: AccountRecord, now: int) -> int | None:
        """Return from when on a locked account without one has to add one first; None for never.

        The first sign-in for which it is required starts the time.
        """
        if not self.is_required(account):
            return None
        since = tx.factor_states.get(account.user_id).required_since
        return self.ends_at(_start_duty(tx, account.user_id, now) if since is None else since)

    def ends_at(self, since: int) -> int:
        """Return when the time without one ends that began at a time."""
        return since + self.grace_days * DAY_MS

    def start_with_role(self, tx: Transaction, user_id: str, now: int) -> None:
        """Let the time of a locked account begin anew, since it is an owner's from now on."""
        if self.mode == "owners":
            _start_duty(tx, user_id, now)


def _start_duty(tx: Transaction, user_id: str, now: int) -> int:
    """Let the time in which a locked account has to add a second factor begin; return `now`."""
    state = tx.factor_states.get(user_id)
    tx.factor_states.save(structs.replace(state, required_since=now))
    return now
