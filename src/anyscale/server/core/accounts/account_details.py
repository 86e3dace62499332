"""One account with all that belongs to it, for owners."""

from collections.abc import Sequence

from msgspec import Struct

from anyscale.errors import NotFound
from anyscale.server.core.callers import user_actor
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.second_factor.removal import owner_refusal
from anyscale.server.core.session_lifetime import is_live
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.factors import FactorRecord
from anyscale.server.store.records.login import LinkRecord, SessionRecord
from anyscale.server.store.records.search import SignIn
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction


class SecondFactors(Struct, frozen=True):
    """The second factors of an account."""

    #: those that count, the oldest first
    factors: Sequence[FactorRecord]
    #: that are not used
    recovery_codes: int
    #: whether the account must have one and has none
    is_due: bool
    #: from when on its user has to add one first: in milliseconds since 1970. None if none is due,
    #: or the time begins with the next sign-in.
    due_at: int | None
    #: why no owner may remove them; None if an owner may
    refusal: str | None

    def __repr__(self) -> str:
        return f"SecondFactors({len(self.factors)})"


class AccountDetails(Struct, frozen=True):
    """An account, how its user can sign in, and where the user is signed in."""

    account: AccountRecord
    sign_in: SignIn
    #: to set the password; None unless one is open
    link: LinkRecord | None
    #: unused links that the user created as an owner for others
    links_made: int
    #: the latest first
    sessions: Sequence[SessionRecord]
    second_factors: SecondFactors

    def __repr__(self) -> str:
        return f"AccountDetails({self.account!r})"


class AccountDetailsQuery:
    """Reads accounts one by one."""

    def __init__(self, transactions: Transactions, policy: SecondFactorPolicy) -> None:
        self._transactions = transactions
        self._policy = policy

    def get(self, user_id: str) -> AccountDetails:
        """Return an account, or raise `NotFound`."""
        with self._transactions.read() as tx:
            now = tx.now()
            account = tx.accounts.get(user_id)
            found = tx.searched_users.get("", user_id)
            if account is None or not found:
                raise NotFound(f"there is no user {user_id}")
            return AccountDetails(
                account,
                found[0].sign_in,
                tx.links.find(user_id, now),
                _links_made(tx, account, now),
                [one for one in tx.sessions.list(user_id) if is_live(one, now)],
                self._second_factors(tx, account),
            )

    def _second_factors(self, tx: Transaction, account: AccountRecord) -> SecondFactors:
        user_id = account.user_id
        factors = tx.factors.list(user_id)
        is_due = not factors and self._policy.is_required(account)
        since = tx.factor_states.get(user_id).required_since if is_due else None
        return SecondFactors(
            factors,
            tx.recovery_codes.count(user_id),
            is_due,
            None if since is None else self._policy.ends_at(since),
            owner_refusal(tx, account),
        )


def _links_made(tx: Transaction, account: AccountRecord, now: int) -> int:
    if account.permission_level != "owner":
        return 0
    return tx.links.count_made([user_actor(account.user_id)], now)
