"""One-time links, by which people set their passwords."""

from collections.abc import Callable, Sequence

from anyscale.errors import LinkRefused, TooLarge
from anyscale.server.core.audit import log as audit
from anyscale.server.core.authorization import Principal, require_owner
from anyscale.server.core.batches.records import root_of
from anyscale.server.core.batches.reserve import known_batch
from anyscale.server.core.secrets import hash_of, new_secret
from anyscale.server.core.users.lifecycle import known_account
from anyscale.server.store.interface import AccountRecord, LinkRecord, Store, Transaction
from anyscale.user.models import PasswordLink, User, from_milliseconds

__all__ = ["MOST", "PREFIX", "PasswordLinkService", "secret_of"]

#: By which a link's secret is known where it should not be: in a log, a repository, a chat.
PREFIX = "mrl_"

#: links a call
MOST = 1_000

_DAY = 24 * 60 * 60 * 1000


def secret_of(link: str) -> str:
    """Give what stands behind the `#` of a link; where that alone was copied, it is all."""
    return link.strip().rpartition("#")[2]


class PasswordLinkService:
    """What can be done with one-time links.

    Args:
        store: the accounts.
        address: gives where people reach the control plane, or raises `ConfigError`.
        days: after which a link is no good.
        sso_only: whether SSO is the only way in.
        sso: whether there is an identity provider.
    """

    def __init__(
        self, store: Store, address: Callable[[], str], *, days: int, sso_only: bool, sso: bool
    ) -> None:
        self._store = store
        self._address = address
        self._lifetime = days * _DAY
        self._sso_only = sso_only
        self._sso = sso

    def require_possible(self) -> str:
        """Check that links can be made; give what they begin with.

        Raises:
            ConfigError: it is not known where people reach the control plane.
            LinkRefused: SSO is the only way in.
        """
        if self._sso_only:
            raise LinkRefused("everybody here signs in by SSO: there are no passwords to set")
        # Behind `#`: browsers send that to nobody.
        return f"{self._address()}/set-password#"

    def create(self, user_ids: Sequence[str], caller: Principal) -> list[PasswordLink]:
        """Make a link for each of some accounts: all of them, or none.

        An account's earlier link is no good any more.

        Args:
            user_ids: whose; up to `MOST`.
            caller: who makes them.

        Raises:
            ConfigError, LinkRefused: see `require_possible`; or an account is suspended.
            NotFound: there is no such account.
            TooLarge: they are too many for a call.
            NotAuthenticated, NotPermitted: the caller has lost the right to it.
        """
        begin = self.require_possible()
        if len(user_ids) > MOST:
            raise TooLarge(f"one call makes links for {MOST} accounts")
        secrets = {user_id: PREFIX + new_secret() for user_id in user_ids}
        if not secrets:
            return []
        with self._store.write() as rows:
            # As everywhere before any account: see `accounts`.
            rows.hold_owners()
            require_owner(rows, caller, secrets)
            accounts = [_reachable(rows, user_id) for user_id in secrets]
            now = rows.now()
            until = now + self._lifetime
            for user_id, secret in secrets.items():
                rows.put_link(LinkRecord(user_id, hash_of(secret), caller.actor, now, until))
            told = {"count": len(secrets), "user_root": root_of(secrets).hex()}
            audit.append(rows, caller.actor, "links.created", _batch_of(accounts), told)
        return [
            PasswordLink(a.user_id, a.email, begin + secrets[a.user_id], from_milliseconds(until))
            for a in accounts
        ]

    def without_credentials(self, batch_id: str, after: str, limit: int) -> list[User]:
        """Give accounts of a batch that nobody can sign in to, in order, after a `user_id`.

        Raises:
            NotFound: there is no such batch.
        """
        with self._store.read() as rows:
            known_batch(rows, batch_id)
            found = rows.without_way_in(batch_id, sso=self._sso, after=after, limit=limit)
        return [
            User(a.email, a.name, from_milliseconds(a.created_at), a.permission_level, a.user_id)
            for a in found
        ]


def _reachable(rows: Transaction, user_id: str) -> AccountRecord:
    account = known_account(rows, user_id)
    if account.suspended_at is not None:
        raise LinkRefused(f"the account of {account.email} is suspended: restore it first")
    return account


def _batch_of(accounts: Sequence[AccountRecord]) -> str:
    """Give the batch that all accounts belong to, or an empty text."""
    batches = {account.batch_id for account in accounts}
    return batches.pop() if len(batches) == 1 else ""
