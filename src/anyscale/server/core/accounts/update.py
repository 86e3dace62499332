"""Correcting the fields of an account."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

from msgspec import UNSET, structs

from anyscale.domain.conflicts import conflict_detail
from anyscale.domain.models.users import (
    EmailChange,
    ExpectedUser,
    UpdatedUser,
    UserChanges,
)
from anyscale.domain.validation import (
    Policy,
    find_faults,
    normalized_changes,
    require_changes,
    shown,
)
from anyscale.errors import AccountEdited, ConfigError, ExternalIdTaken, OwnerKept
from anyscale.server.core.accounts.email_changes import change_emails
from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.batches.conflicts import find_conflict
from anyscale.server.core.callers import Caller, require_accounts
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.user_models import user_of
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction


class UserUpdateService:
    """Changes the fields that an administrator entered about a user."""

    def __init__(self, transactions: Transactions, policy: Policy, outbox: Outbox) -> None:
        self._transactions = transactions
        self._policy = policy
        self._outbox = outbox

    def update(
        self,
        caller: Caller,
        user_id: str,
        changes: UserChanges,
        expected: ExpectedUser | None = None,
        *,
        reuse_email: bool = False,
    ) -> UpdatedUser:
        """Change fields of an account. A repeated call changes nothing more.

        `expected` is what the caller has seen: an account that somebody else has edited since is
        not changed. A field that has its new value already is as expected.

        An account that is no longer an SSO user loses its link to the identity provider and the
        sessions that were created by SSO.

        An account with another email is the same account: see `change_emails`, also for
        `reuse_email`.

        Raises:
            AccountEdited: a field has another value than expected; nothing is changed.
            ConfigError: a new value breaks the rules of a batch, or there is none.
            EmailTaken: the new email is not free; `EmailFreed`, if `reuse_email` would help.
            ExternalIdTaken: another account or an open batch has the new external id.
            NotFound: there is no such account.
            NotAuthenticated, NotPermitted: the caller has lost its permission, or changes an email
                without a recent sign-in.
        """
        require_changes(changes, self._policy)
        changes = normalized_changes(changes)
        # With another email, an identity of the provider may get the account.
        recent = changes.email is not UNSET
        with self._transactions.write_for(
            caller, Permission.CHANGE_ACCOUNTS, [user_id], recent=recent
        ) as (tx, locked):
            (account,) = require_accounts(locked, [user_id])
            changed = _changed(account, changes)
            require_expected(account, expected, changes)
            updated = structs.replace(account, **changed)
            details = {field: changed[field] for field in changed if field != "email"}
            entries = []
            if details:
                _prepare_details(tx, account, details)
                data = _details(details)
                entries.append(Entry(caller.actor, "account.updated", user_id, data))
            if "email" in changed:
                emails = {user_id: changed["email"]}
                entries += change_emails(
                    tx, self._outbox, [account], emails, caller, reuse_email=reuse_email
                )
            if details:
                tx.accounts.set_details(user_id, **details)
            append_entries(tx, entries)
        return UpdatedUser(user_of(updated), has_password=updated.password_hash is not None)

    def change_emails(self, caller: Caller, changes: Sequence[EmailChange]) -> None:
        """Change the emails of several accounts at one moment: two of them may swap theirs.

        A repeated call changes nothing more.

        Raises:
            AccountEdited: an account has neither its new email nor is it as expected.
            ConfigError: a new email is wrong, or an account is there twice.
            EmailTaken, EmailFreed: see `change_emails`.
            NotFound: an account does not exist.
            OwnerKept: an account is an owner's, whose email no file changes.
        """
        by_id: dict[str, EmailChange] = {}
        for index, change in enumerate(changes):
            for fault in find_faults({"email": change.email}, self._policy):
                raise ConfigError(f"changes[{index}].email: {fault.detail}")
            if by_id.setdefault(change.user_id, change) is not change:
                raise ConfigError(f"changes[{index}].user_id: the account is there twice")
        with self._transactions.write_for(
            caller, Permission.CHANGE_ACCOUNTS, by_id, recent=True
        ) as (tx, locked):
            accounts = require_accounts(locked, by_id)
            changing = [one for one in accounts if one.email != by_id[one.user_id].email]
            for account in changing:
                if account.permission_level == "owner":
                    raise OwnerKept("the account is an owner's: no file changes its email")
                require_expected(account, by_id[account.user_id].expected)
            emails = {account.user_id: by_id[account.user_id].email for account in changing}
            if changing:
                append_entries(tx, change_emails(tx, self._outbox, changing, emails, caller))


def _changed(account: AccountRecord, changes: UserChanges) -> dict[str, Any]:
    new = changes.to_dict()
    return {field: value for field, value in new.items() if value != getattr(account, field)}


def require_expected(
    account: AccountRecord, expected: ExpectedUser | None, changes: UserChanges | None = None
) -> None:
    """Raise `AccountEdited` if a field is neither as expected nor as it is changed to."""
    new = changes.to_dict() if changes else {}
    edited = [
        field
        for field, value in (expected.to_dict() if expected else {}).items()
        if getattr(account, field) not in (value, new.get(field, value))
    ]
    if edited:
        raise AccountEdited(_edit(account, edited))


def _edit(account: AccountRecord, edited: Sequence[str]) -> str:
    if "permission_level" in edited:
        return "somebody has changed the role of the account since"
    if "suspended" in edited:
        return f"somebody has {'suspended' if account.suspended else 'restored'} the account since"
    return f"somebody has edited the account since: another {', '.join(edited)} was expected"


def _prepare_details(tx: Transaction, account: AccountRecord, changed: dict[str, Any]) -> None:
    # The rows of the account come before the index of words: see the order of locks of
    # `Transaction`.
    if "is_sso_user" in changed:
        tx.half_sign_ins.delete_of([account.user_id])
    if changed.get("is_sso_user") is False:
        tx.sessions.delete(account.user_id, auth_method="sso")
        tx.grants.delete_all(user_id=account.user_id)
        tx.identities.unlink(account.user_id)
    if external_id := changed.get("external_id"):
        _reserve_external_id(tx, account, external_id)


def _reserve_external_id(tx: Transaction, account: AccountRecord, external_id: str) -> None:
    if holder := tx.external_ids.reserve(account.user_id, external_id):
        conflict = find_conflict(0, account.email, holder, external_id=external_id)
        holding = tx.accounts.get(holder.user_id) if conflict.kind == "exists" else None
        if holding is None:
            raise ExternalIdTaken(conflict_detail(conflict))
        raise ExternalIdTaken(
            f"{shown(external_id)} is the external_id of {holding.email}: choose another, or clear "
            f"that one first by `anyscale user update {quote(holding.email)} --no-external-id`"
        )


def _details(changed: dict[str, Any]) -> dict[str, Any]:
    # The entry has no texts, because it stays when the user is deleted. How the user may sign in is
    # not personal.
    details: dict[str, Any] = {"fields": sorted(changed)}
    if "is_sso_user" in changed:
        details["is_sso_user"] = changed["is_sso_user"]
    return details
