"""Removing the second factors of a user who has lost them: by an owner, or by the operator."""

from typing import Final

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.reasons import reason_fault
from anyscale.errors import OwnerKept, RequestInvalid
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import Caller, SystemCaller, require_accounts
from anyscale.server.core.mail.kinds import FACTOR_REMOVED
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.permissions import Permission
from anyscale.server.core.second_factor.wrong_codes import forget_wrong_codes
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: Days in which the account of a former owner is protected as that of an owner. Otherwise a stolen
#: token of an owner could take the role from another one, remove the factors, and give it back.
FORMER_OWNER_DAYS: Final = 7

_ROLE_SET = "account.role_set"

_OPERATOR = "`anyscale server reset-second-factor {}` on the machine of the server removes them"


class FactorRemoval:
    """Removes second factors that their users have lost."""

    def __init__(self, transactions: Transactions, outbox: Outbox) -> None:
        self._transactions = transactions
        self._outbox = outbox

    def remove_all(self, caller: Caller, user_id: str, reason: str) -> int:
        """Remove the second factors of an account, with its recovery codes, and count them.

        Its sessions and sign-ins at applications end, and one-time codes that were off are on
        again. Its tokens stay: nobody showed a second factor for them. A repeated call changes
        nothing more.

        Args:
            caller: an owner, or the operator.
            user_id: of the account.
            reason: for the audit log, which keeps it.

        Raises:
            OwnerKept: the account is an owner's, and the caller is not the operator.
            RequestInvalid: the reason is blank, too long, or not text.
            NotFound: there is no such account.
            NotAuthenticated, NotPermitted: the caller has lost its permission, or signed in too
                long ago.
        """
        if fault := reason_fault(reason):
            raise RequestInvalid(fault)
        with self._transactions.write_for(
            caller, Permission.MANAGE_SIGN_IN, [user_id], recent=True
        ) as (tx, locked):
            (account,) = require_accounts(locked, [user_id])
            if not isinstance(caller, SystemCaller) and (refusal := owner_refusal(tx, account)):
                raise OwnerKept(refusal)
            forget_wrong_codes(tx, user_id)
            kinds = sorted(one.kind for one in tx.factors.list(user_id))
            tx.factors.delete_all(user_id)
            tx.recovery_codes.replace(user_id, [])
            if kinds:
                sessions = tx.sessions.delete(user_id)
                self._outbox.add_notice(tx, FACTOR_REMOVED, user_id, caller.actor)
                data = {"kinds": kinds, "reason": reason.strip(), "sessions": sessions}
                append_entry(tx, caller.actor, "factor.removed", user_id, data)
        return len(kinds)


def owner_refusal(tx: Transaction, account: AccountRecord) -> str | None:
    """Return why no owner may remove the factors of an account; None if an owner may."""
    operator = _OPERATOR.format(account.email)
    if account.permission_level == "owner":
        return (
            "an owner's second factors are removed by their user, on the account page, or by the "
            f"operator: {operator}"
        )
    only = AuditFilter(event=_ROLE_SET, subject=account.user_id)
    newest = next(iter(tx.audit.list(0, 1, newest_first=True, only=only)), None)
    if newest and tx.now() - newest.at < FORMER_OWNER_DAYS * DAY_MS:
        return (
            f"this account was an owner's less than {FORMER_OWNER_DAYS} days ago, so only the "
            f"operator removes its second factors: {operator}"
        )
    return None
