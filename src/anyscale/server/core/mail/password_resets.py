"""The mails of people who forgot their password: the sender looks up who has typed an email.

So a request does the same whether the email has an account or not.
"""

from typing import Final

from anyscale.domain.emails import email_key
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import user_actor
from anyscale.server.core.mail.kinds import FORGOTTEN_PASSWORD, FORGOTTEN_PASSWORD_SSO
from anyscale.server.core.mail.outbox import new_mails
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

__all__ = ["RESET_LIFETIME", "look_up_next"]

#: Milliseconds after which an email that was typed is deleted, also without a look-up. The clean-up
#: comes once a minute, and the email is gone within an hour.
RESET_LIFETIME: Final = 55 * MINUTE_MS

#: the actor of a request: nobody has proved to be the user
_ANONYMOUS = "anonymous"


def look_up_next(tx: Transaction) -> bool:
    """Create the mail of the oldest request, if its email has an account that can sign in.

    Return whether there was a request, but for those that other servers look up now.

    Else it creates a mail to nobody: it takes its place in the rate, so that the time of a mail to
    oneself does not tell which emails before it have an account.

    Only the email that an account has now counts: a former one may be the mailbox of somebody else.
    """
    reset = tx.password_resets.take_due()
    if reset is None:
        return False
    if reset.email is None or reset.created_at + RESET_LIFETIME <= tx.now():
        return True
    account = _lock_account(tx, email_key(reset.email))
    if account is None or account.suspended_at is not None:
        (mail,) = new_mails(tx.now(), FORGOTTEN_PASSWORD, [""], _ANONYMOUS, address=reset.reset_id)
        tx.outbox.add(mail)
        return True
    # Without an identity provider here, a link is the only way for an SSO user too.
    (found,) = tx.searched_users.get("", account.user_id)
    kind = FORGOTTEN_PASSWORD_SSO if found.sign_in == "sso" else FORGOTTEN_PASSWORD
    (mail,) = new_mails(tx.now(), kind, [account.user_id], user_actor(account.user_id))
    tx.outbox.add(mail)
    append_entry(tx, _ANONYMOUS, "password.reset_requested", account.user_id, {})
    return True


def _lock_account(tx: Transaction, key: str) -> AccountRecord | None:
    """Lock the account with an email, which may have changed before."""
    found = tx.accounts.find(key)
    locked = tx.accounts.lock([found.user_id]).get(found.user_id) if found else None
    return locked if locked and email_key(locked.email) == key else None
