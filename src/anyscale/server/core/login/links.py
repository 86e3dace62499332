"""One-time links with which users set their passwords."""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from anyscale.domain.models.users import PasswordLink, User
from anyscale.domain.times import from_milliseconds
from anyscale.errors import AlreadyReplaced, LinkRefused, TooLarge
from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.batches.batch_state import require_batch
from anyscale.server.core.callers import Caller, require_accounts
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.login import LinkRecord, UnusedLinks
from anyscale.server.store.records.user_models import user_of
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

__all__ = [
    "MOST",
    "PREFIX",
    "PasswordLinkService",
    "new_link_secret",
    "require_active",
    "secret_of",
]

#: Marks a link's secret, so that scanners find it in a log, a repository or a chat.
PREFIX = "mrl_"

#: 43 of these have 256 random bits. Mail gateways use `-` and `_` as escapes.
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 43

#: a secret inside what a mail gateway makes of a link; `-5F` is the `_` of Proofpoint's version 2
_SECRET = re.compile(rf"mrl(?:_|-5F)([A-Za-z0-9]{{{_LENGTH}}})")

#: the most links of one call
MOST = 1_000


def secret_of(link: str) -> str:
    """Return the secret of a link, or of only its code; empty if there is none.

    Mail gateways wrap links, and encode the `#` once or twice; mail programs add punctuation.
    """
    found = _SECRET.search(unquote(unquote(link)))
    return PREFIX + found[1] if found else ""


def new_link_secret() -> str:
    """Return the secret of a new link, which no mail gateway changes."""
    import secrets  # with `random`, whose tables most commands need not compute

    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


class PasswordLinkService:
    """Creates one-time links, which expire after some days.

    `page` returns the URL of the page that takes them, or raises `ConfigError`.
    """

    def __init__(
        self,
        transactions: Transactions,
        page: Callable[[], str],
        *,
        days: int,
        sso_only: bool,
    ) -> None:
        self._transactions = transactions
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
            raise LinkRefused("everybody here signs in by SSO: there are no passwords to set")
        # The secret comes after `#`: browsers never send that part.
        return f"{self._page()}#"

    def create(
        self, user_ids: Sequence[str], caller: Caller, newest: int | None = None
    ) -> list[PasswordLink]:
        """Create a link for each of up to `MOST` accounts, in their order, or none if one fails.

        The previous link of an account is deleted. `newest` is that of the unused links that the
        caller has seen: those that others have created since are not replaced. None for any.

        Raises:
            AlreadyReplaced: an account has a newer link.
            ConfigError, LinkRefused: see `require_possible`; or an account is suspended.
            NotFound: there is no such account.
            TooLarge: too many for one call.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        url = self.require_possible()
        if len(user_ids) > MOST:
            raise TooLarge(f"one call creates at most {MOST:,} links")
        secrets = {user_id: new_link_secret() for user_id in user_ids}
        if not secrets:
            return []
        with self._transactions.write_after(
            lambda tx: tx.accounts.lock_owners(), caller, secrets, recent=True
        ) as (tx, _, locked):
            accounts = require_accounts(locked, secrets)
            for account in accounts:
                require_active(account)
            if newest is not None and tx.links.unused(list(secrets), tx.now()).newest > newest:
                raise AlreadyReplaced("a link was created after the caller has looked")
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

    def _replace(self, tx: Transaction, secrets: Mapping[str, str], actor: str) -> int:
        """Replace the links of accounts; return when the new ones expire."""
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

    def exists(self, user_id: str) -> bool:
        """Whether an account has a link that works."""
        with self._transactions.read() as tx:
            return tx.links.exists(user_id, tx.now())

    def revoke(self, link: str, caller: Caller) -> None:
        """Delete a link that no user received. The audit log keeps the entry of its creation."""
        with self._transactions.write_for(caller) as (tx, _):
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
