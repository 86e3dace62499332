"""Steps: what the user of a session still has to do before the session may be used.

A new step is a member of `Step`, its rule in `pending_step`, its page in `STEP_PAGES`, and the
option `ALLOWED_STEPS` of the routes where the user does it.
"""

from enum import Enum
from typing import Final

from anyscale.errors import AnyscaleError, PasswordChangeNeeded, SecondFactorDue
from anyscale.server.core.shown_methods import has_second_factor
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.users import AccountRecord


class Step(Enum):
    """What the user of a session has to do first, and how everything else is refused until then."""

    #: to choose a password in place of the one that an administrator set
    PASSWORD = PasswordChangeNeeded, "change the password that you were given first"
    #: to add a second factor
    SECOND_FACTOR = SecondFactorDue, "add a second factor to your account first"

    def __init__(self, error: type[AnyscaleError], message: str) -> None:
        self.error: Final = error
        self._message = message

    def refusal(self) -> AnyscaleError:
        """Return the error for a call that the user may not make before the step."""
        return self.error(self._message)


#: for what is allowed whatever the user has to do first
ANY_STEP: Final = frozenset(Step)


def pending_step(session: SessionRecord, account: AccountRecord, now: int) -> Step | None:
    """Return what the user of a session has to do first; None if the session may be used."""
    if session.auth_method == "password" and account.password_set_at is None:
        return Step.PASSWORD
    due_at = session.factor_due_at
    if due_at is not None and due_at <= now and not has_second_factor(session.methods):
        return Step.SECOND_FACTOR
    return None
