"""One-time links with which users set their passwords."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Literal

from anyscale.domain.models.users import PasswordLink, User
from anyscale.domain.times import from_milliseconds
from anyscale.errors import AlreadyReplaced, BatchGone, LinkRefused, TooLarge
from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.batches.batch_state import lock_batch, require_batch
from anyscale.server.core.callers import Caller, require_accounts, user_actor
from anyscale.server.core.link_secrets import new_link_secret, secret_of
from anyscale.server.core.mail.kinds import LINK
from anyscale.server.core.mail.outbox import NO_PASSWORDS, Outbox
from anyscale.server.core.permissions import Permission
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.login import LinkRecord, UnusedLinks
from anyscale.server.store.records.user_models import user_of
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: the most links of one call
MOST = 1_000

#: accounts that a call skips: those that are suspended or deleted, or owners' as well
SkippedAccounts = Literal["inactive", "inactive and owners"]


class PasswordLinkService:
    """Creates one-time links, which expire after some days.

    `page` returns the URL of the page that takes them, or raises `ConfigError`.
    """

    def __init__(
        self,
        transactions: Transactions,
        outbox: Outbox,
        page: Callable[[], str],
        *,
        days: int,
        sso_only: bool,
    ) -> None:
        self._transactions = transactions
        self._outbox = outbox
        self._page = page
        self._lifetime = days * DAY_MS
        self._sso_only = sso_only

    def require_possible(self) -> str:
        """Check that links can be created; return their common first part.

        Raises:
            ConfigError: the URL of the control plane is not known.
            LinkRefused: SSO is the only sign-in method.
        """
        if self._sso_only:
            raise LinkRefused(NO_PASSWORDS)
        # The secret comes after `#`: browsers never send that part.
        return f"{self._page()}#"

    def create(
        self,
        caller: Caller,
        user_ids: Sequence[str],
        newest: int | None = None,
        *,
        skip: SkippedAccounts | None = None,
    ) -> list[PasswordLink]:
        """Create a link for each of up to `MOST` accounts, in their order, or none if one fails.

        The previous link of an account is deleted. `newest` is that of the unused links that the
        caller has seen: those that others have created since are not replaced. None for any. The
        accounts of `skip` get no link, and fail nothing.

        Raises:
            AlreadyReplaced: an account has a newer link.
            ConfigError, LinkRefused: see `require_possible`; or an account is suspended.
            NotFound: there is no such account.
            TooLarge: too many for one call.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        url = self.require_possible()
        _require_few(user_ids)
        secrets = {user_id: new_link_secret() for user_id in user_ids}
        if not secrets:
            return []
        with self._transactions.write_after(
            lambda tx: tx.accounts.lock_owners(),
            caller,
            Permission.MANAGE_SIGN_IN,
            secrets,
            recent=True,
        ) as (tx, _, locked):
            accounts = _to_link(locked, secrets, skip=skip)
            secrets = {account.user_id: secrets[account.user_id] for account in accounts}
            _require_seen(tx, list(secrets), newest)
            expires_at = self._replace(tx, secrets, caller.actor)
            # One for each account, so that a search for the account finds it.
            data = {"expires_at": expires_at}
            append_entries(
                tx, [Entry(caller.actor, "links.created", user_id, data) for user_id in secrets]
            )
        until = from_milliseconds(expires_at)
        return [
            PasswordLink(
                user_id=account.user_id,
                email=account.email,
                url=url + secrets[account.user_id],
                expires_at=until,
                is_sso_user=account.is_sso_user,
            )
            for account in accounts
        ]

    def mail(
        self,
        caller: Caller,
        user_ids: Sequence[str],
        newest: int | None = None,
        *,
        skip: SkippedAccounts | None = None,
    ) -> None:
        """Send each of up to `MOST` accounts a link by mail, or none if one fails.

        The link of an account is created when its mail is sent, and the previous link is deleted
        then. A mail that is due already is sent once. For `newest` and `skip` see `create`.

        Raises:
            AlreadyReplaced: an account has a newer link.
            LinkRefused: SSO is the only sign-in method, or an account is suspended.
            MailUnavailable: the control plane has no relay.
            NotFound: there is no such account.
            TooLarge: too many for one call.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        self._outbox.require_links()
        _require_few(user_ids)
        user_ids = list(dict.fromkeys(user_ids))
        if not user_ids:
            return
        with self._transactions.write_after(
            lambda tx: tx.accounts.lock_owners(),
            caller,
            Permission.MANAGE_SIGN_IN,
            user_ids,
            recent=True,
        ) as (tx, _, locked):
            accounts = _to_link(locked, user_ids, skip=skip)
            linked = [account.user_id for account in accounts]
            _require_seen(tx, linked, newest)
            self._outbox.add_links(tx, linked, caller.actor)
            entries = [Entry(caller.actor, "links.mail_requested", one, {}) for one in linked]
            append_entries(tx, entries)

    def mail_many(self, caller: Caller, batch_id: str, seen: str | None = None) -> str:
        """Send links by mail to all accounts of a batch that nobody can sign in to.

        It writes one row, from which the mails are created a part at a time. While mails of an
        earlier call are due, it returns that one's mailing again.

        Args:
            caller: an owner.
            batch_id: of a published batch; empty for all accounts that nobody can sign in to.
            seen: the id of the latest mailing of the batch that the caller has seen, empty for
                none. A later one is returned again, also if all of it is sent. None for any.

        Returns:
            The id of the mailing.

        Raises:
            BatchGone: the batch has no accounts, or is being undone.
            LinkRefused, MailUnavailable: see `mail`.
            NotFound: there is no such batch.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        self._outbox.require_links()
        total = self.count_without_credentials(batch_id)
        with self._transactions.write_after(
            lambda tx: _lock_mailings(tx, batch_id), caller, Permission.MANAGE_SIGN_IN, recent=True
        ) as (tx, _, _):
            if running := self._outbox.find_running(tx, batch_id, seen):
                return running.mailing_id
            mailing, entry = self._outbox.add_mailing(tx, batch_id, total, caller.actor)
            append_entries(tx, [entry])
        return mailing.mailing_id

    def count_without_credentials(self, batch_id: str = "") -> int:
        """Count the accounts of a batch that nobody can sign in to, or all of them.

        It may read many accounts.
        """
        with self._transactions.read() as tx:
            if batch_id:
                return tx.users.count_accounts(batch_id).without_credentials
            kinds = tx.users.count()
        return kinds.get("none", 0) + kinds.get("link", 0)

    def _replace(self, tx: Transaction, secrets: Mapping[str, str], actor: str) -> int:
        """Replace the links of accounts; return when the new ones expire."""
        tx.outbox.delete_of(list(secrets), LINK)  # a mail would replace the link by another one
        now = tx.now()
        expires_at = now + self._lifetime
        for user_id, secret in secrets.items():
            tx.links.replace(LinkRecord(user_id, hash_of(secret), actor, now, expires_at))
        return expires_at

    def unused(self, user_ids: Sequence[str]) -> UnusedLinks:
        """Return the links of accounts that work, in numbers."""
        with self._transactions.read() as tx:
            return tx.links.unused(user_ids, tx.now())

    def unused_in_batch(self, batch_id: str) -> UnusedLinks:
        """Return those of the accounts of a batch to which no user can sign in otherwise."""
        with self._transactions.read() as tx:
            return tx.links.unused_in_batch(batch_id, tx.now())

    def linked(self, user_ids: Sequence[str]) -> Collection[str]:
        """Return those of some accounts that have a link that works."""
        with self._transactions.read() as tx:
            return set(tx.links.linked(user_ids, tx.now()))

    def count_made(self, user_ids: Iterable[str]) -> int:
        """Count the unused links that users created as administrators for others."""
        with self._transactions.read() as tx:
            return tx.links.count_made(list(map(user_actor, user_ids)), tx.now())

    def exists(self, user_id: str) -> bool:
        with self._transactions.read() as tx:
            return tx.links.exists(user_id, tx.now())

    def revoke(self, caller: Caller, link: str) -> None:
        """Delete a link that no user received. The audit log keeps the entry of its creation."""
        with self._transactions.write_for(caller, Permission.MANAGE_SIGN_IN) as (tx, _):
            tx.links.consume(hash_of(secret_of(link)))

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        """Return accounts of a batch to which no user can sign in, by `user_id`, after one."""
        with self._transactions.read() as tx:
            require_batch(tx, batch_id)
            found = tx.users.list_without_credentials(batch_id, after, limit)
        return [user_of(record) for record in found]


def require_active(account: AccountRecord) -> None:
    """Raise `LinkRefused` if an account is suspended."""
    if account.suspended_at is not None:
        raise LinkRefused(f"the account of {account.email} is suspended: restore it first")


def _to_link(
    locked: Mapping[str, AccountRecord], user_ids: Collection[str], *, skip: SkippedAccounts | None
) -> list[AccountRecord]:
    """Return the accounts that get a link, in their order: see `PasswordLinkService.create`."""
    if skip is None:
        accounts = require_accounts(locked, user_ids)
        for account in accounts:
            require_active(account)
        return accounts
    found = [locked[user_id] for user_id in user_ids if user_id in locked]
    active = [one for one in found if not one.suspended]
    if skip == "inactive":
        return active
    return [one for one in active if one.permission_level != "owner"]


def _require_few(user_ids: Sequence[str]) -> None:
    if len(user_ids) > MOST:
        raise TooLarge(f"one call creates at most {MOST:,} links")


def _require_seen(tx: Transaction, user_ids: Sequence[str], newest: int | None) -> None:
    """Raise `AlreadyReplaced` if a locked account has a link that the caller has not seen."""
    if newest is not None and tx.links.unused(user_ids, tx.now()).newest > newest:
        raise AlreadyReplaced("a link was created after the caller has looked")


def _lock_mailings(tx: Transaction, batch_id: str) -> None:
    """Let no other transaction add a mailing of a batch, or one of all accounts without it.

    No undo of the batch begins either. Require that it has accounts.
    """
    if not batch_id:
        tx.accounts.lock_owners()
        return
    batch = lock_batch(tx, batch_id, exclusive=True)
    if batch.state != "published":
        raise BatchGone(f"batch {batch_id} is {batch.state}: its accounts get no links")
