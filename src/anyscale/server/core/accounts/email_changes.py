"""Changing the emails of accounts: one, or several that may swap theirs."""

from collections.abc import Mapping, Sequence

from anyscale.domain.conflicts import conflict_detail
from anyscale.domain.emails import email_key
from anyscale.domain.validation import shown
from anyscale.errors import EmailFreed, EmailTaken, NotPermitted
from anyscale.server.core.audit.entries import Entry
from anyscale.server.core.batches.conflicts import find_conflict, freed_since
from anyscale.server.core.callers import Caller, SessionCaller, SystemCaller
from anyscale.server.core.mail.kinds import EMAIL_CHANGED
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.store.records.users import AccountRecord, NewEmail
from anyscale.server.store.transaction import Transaction

_REUSE = "to give it to this account at once, use `--reuse-email` (`reuse_email`)"


def change_emails(
    tx: Transaction,
    outbox: Outbox,
    accounts: Sequence[AccountRecord],
    emails: Mapping[str, str],
    caller: Caller,
    *,
    reuse_email: bool = False,
) -> list[Entry]:
    """Change the emails of locked accounts in one go: two of them may swap theirs.

    Returns the entries of the audit log, which the caller appends when all else is changed: see the
    order of locks of `Transaction`.

    All else of an account stays, but for an unused link to set a password: it was sent to the
    former email. A notice goes to both emails.

    Args:
        tx: that locked the accounts, and checked that the caller is an owner.
        outbox: for the notices.
        accounts: that get another email, or theirs in another spelling.
        emails: the valid new email of each, by `user_id`.
        caller: who changes them.
        reuse_email: whether an account may get an email that none of these has, and another account
            had until a short time ago.

    Raises:
        EmailTaken: another account or an open batch has an email, or two of these would have it.
        EmailFreed: another account had an email until a short time ago.
        NotPermitted: an account is an owner's. Only another owner in a browser may change its
            email, after a recent sign-in, which `write_for` checks; or the operator.
    """
    for account in accounts:
        _refuse_owner(account, caller)
    new = [_new_email(account, emails[account.user_id]) for account in accounts]
    _refuse_equal(new)
    _refuse_taken(tx, new)
    if not reuse_email:
        _refuse_freed(tx, accounts, new)
    for account in accounts:
        # A link that is still to be mailed goes to the new email.
        tx.links.delete(user_id=account.user_id)
        email = emails[account.user_id]
        _notify(tx, outbox, account, email, caller, is_one_of_many=len(accounts) > 1)
    # An identity provider may name a user by the email: with another one, the identity may change.
    tx.half_sign_ins.delete_of([account.user_id for account in accounts])
    tx.emails.replace(new, tx.now())
    return [_entry(caller, account, emails) for account in accounts]


def _refuse_owner(account: AccountRecord, caller: Caller) -> None:
    if account.permission_level != "owner" or isinstance(caller, SystemCaller):
        return
    # A stolen token, or a browser that was left open, must not take over the administrators.
    if not isinstance(caller, SessionCaller) or caller.account.user_id == account.user_id:
        raise NotPermitted(
            f"{account.email} is an owner: another owner can change the email in the console, or "
            "the operator on the machine of the control plane"
        )


def _new_email(account: AccountRecord, email: str) -> NewEmail:
    return NewEmail(account.user_id, email, email_key(email))


def _refuse_equal(new: Sequence[NewEmail]) -> None:
    keys = set[str]()
    for one in new:
        if one.email_key in keys:
            raise EmailTaken(f"two accounts would have the email {shown(one.email)}")
        keys.add(one.email_key)


def _refuse_taken(tx: Transaction, new: Sequence[NewEmail]) -> None:
    for holder in tx.emails.reserve(new):
        email = next(one.email for one in new if one.email_key == holder.email_key)
        raise EmailTaken(conflict_detail(find_conflict(0, email, holder)))


def _refuse_freed(
    tx: Transaction, accounts: Sequence[AccountRecord], new: Sequence[NewEmail]
) -> None:
    # An email that one of these accounts has now is passed on, even if others had it before.
    passed_on = {email_key(account.email) for account in accounts}
    by_key = {one.email_key: one for one in new if one.email_key not in passed_on}
    found = tx.emails.list_freed(list(by_key), freed_since(tx))
    # Of several accounts that had an email, the last one may have it again.
    for key, freed in {freed.email_key: freed for freed in found}.items():
        one = by_key[key]
        if freed.user_id != one.user_id:
            raise EmailFreed(conflict_detail(find_conflict(0, one.email, freed), _REUSE))


def _notify(
    tx: Transaction,
    outbox: Outbox,
    account: AccountRecord,
    email: str,
    caller: Caller,
    *,
    is_one_of_many: bool,
) -> None:
    addresses = {email_key(one): one for one in (account.email, email)}
    for address in addresses.values():
        outbox.add_notice(
            tx,
            EMAIL_CHANGED,
            account.user_id,
            caller.actor,
            address,
            is_one_of_many=is_one_of_many,
        )


def _entry(caller: Caller, account: AccountRecord, emails: Mapping[str, str]) -> Entry:
    # The one entry with emails: without them nobody could say later whose account it was.
    data = {"old_email": account.email, "new_email": emails[account.user_id]}
    return Entry(caller.actor, "account.email_changed", account.user_id, data)
