"""The mails of users who forgot their password: the sender looks up who has typed an email.

A request has a time at which it is looked up, which does not depend on accounts: not on its own,
and not on those of earlier requests. A mail is sent at once then.
"""

from typing import Final

from anyscale.domain.emails import email_key
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import user_actor
from anyscale.server.core.mail.kinds import FORGOTTEN_PASSWORD, FORGOTTEN_PASSWORD_SSO
from anyscale.server.core.mail.outbox import new_mails
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.mail import FORGOTTEN
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: Milliseconds after which an email that was typed is deleted, also without a look-up. The clean-up
#: comes once a minute, and the email is gone within an hour.
RESET_LIFETIME: Final = 55 * MINUTE_MS

#: requests that are looked up between two mails
_MOST_LOOKED_UP = 50

#: the actor of a request: nobody has proved to be the user
_ANONYMOUS = "anonymous"


class ForgottenPasswords:
    """Creates the mails of users who forgot their password.

    Args:
        transactions: of the control plane.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def next_at(self, tx: Transaction) -> int | None:
        """Return when the next request is to be looked up; None without any."""
        return tx.password_resets.next_due()

    def create(self) -> bool:
        """Look up the requests that are due; return whether there were any."""
        has_found = False
        for _ in range(_MOST_LOOKED_UP):
            with self._transactions.write_unattended("mail", is_slice=True) as tx:
                if not look_up_next(tx):
                    break
            has_found = True
        return has_found


def look_up_next(tx: Transaction) -> bool:
    """Create the mail of the next request that is due, if its email has an account.

    Return whether there was a request, but for those that other servers look up now.

    Only the email that an account has now counts: a former one may be the mailbox of somebody else.
    """
    now = tx.now()
    reset = tx.password_resets.take_due(now)
    if reset is None:
        return False
    if reset.email is None or reset.created_at + RESET_LIFETIME <= now:
        return True
    account = _lock_account(tx, email_key(reset.email))
    if account is None or account.suspended_at is not None:
        return True
    # Without an identity provider here, a link is the only way for an SSO user too.
    (found,) = tx.searched_users.get("", account.user_id)
    kind = FORGOTTEN_PASSWORD_SSO if found.sign_in == "sso" else FORGOTTEN_PASSWORD
    actor = user_actor(account.user_id)
    (mail,) = new_mails(now, kind, [account.user_id], actor, rank=FORGOTTEN)
    tx.outbox.add(mail)
    append_entry(tx, _ANONYMOUS, "password.reset_requested", account.user_id, {})
    return True


def _lock_account(tx: Transaction, key: str) -> AccountRecord | None:
    """Lock the account with an email, which may have changed before."""
    found = tx.accounts.find(key)
    locked = tx.accounts.lock([found.user_id]).get(found.user_id) if found else None
    return locked if locked and email_key(locked.email) == key else None
