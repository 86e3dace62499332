"""The tables `factors`, `recovery_codes`, `used_challenges` and `factor_states`."""

from collections.abc import Iterable, Sequence

from msgspec import structs

from anyscale.server.store.records.factors import FactorKind, FactorRecord, FactorState
from anyscale.server.store.sql.connection import Table, columns, insert, upsert

_FACTOR = f"select {columns(FactorRecord)} from factors"
_ADD = insert("factors", FactorRecord)
_SAVE_STATE = upsert("factor_states", FactorState, "user_id")


def without_second_factor(table: str) -> str:
    """Return a condition: the user of an account can sign in without a second factor.

    That of a suspended account cannot sign in.

    Args:
        table: `users`, or the view `live_users`.
    """
    # Not `exists`, for which PostgreSQL reads all factors for a block of accounts.
    return (
        "(suspended_at is null and (select 1 from factors"
        f" where factors.user_id = {table}.user_id and confirmed_at is not null limit 1) is null)"
    )


class Factors(Table):
    """Second factors. Lock the account before a change."""

    def add(self, factor: FactorRecord) -> bool:
        """Insert a factor; return False if an account has the passkey."""
        return bool(
            self._connection.execute(f"{_ADD} on conflict do nothing", *structs.astuple(factor))
        )

    def find_passkey(self, credential_id: bytes) -> FactorRecord | None:
        sql = f"{_FACTOR} where credential_id = ?"
        return self._connection.one(FactorRecord, sql, credential_id)

    def count_passkeys(self) -> dict[str, int]:
        """Return how many passkeys were created for each host name."""
        sql = "select rp_id, count(*) from factors where rp_id is not null group by rp_id"
        return {str(rp_id): int(count) for rp_id, count in self._connection.rows(sql)}

    def list(self, user_id: str) -> Sequence[FactorRecord]:
        """Return the factors of an account that count, the oldest first."""
        sql = f"{_FACTOR} where user_id = ? and confirmed_at is not null order by factor_id"
        return self._connection.all(FactorRecord, sql, user_id)

    def pending_app(self, user_id: str) -> FactorRecord | None:
        """Return the app of an account that has not shown a code: there is one at most."""
        sql = f"{_FACTOR} where user_id = ? and confirmed_at is null"
        return self._connection.one(FactorRecord, sql, user_id)

    def kinds(self, user_id: str) -> frozenset[FactorKind]:
        """Return the kinds of the factors that an account has and that count."""
        sql = "select distinct kind from factors where user_id = ? and confirmed_at is not null"
        return frozenset(self._connection.column(sql, user_id))

    def seed_keys(self) -> frozenset[str]:
        """Return the fingerprints of the keys that have encrypted seeds."""
        # A seed begins with the fingerprint, of 16 digits.
        sql = "select distinct substr(seed, 1, 16) from factors where seed is not null"
        return frozenset(self._connection.column(sql))

    def confirm(self, factor_id: str, name: str, at: int) -> None:
        """Let an app count from now on, by a name."""
        sql = "update factors set name = ?, confirmed_at = ?, session_id = null where factor_id = ?"
        self._connection.execute(sql, name, at, factor_id)

    def use_step(self, factor_id: str, step: int, at: int) -> bool:
        """Use up a time step of an app; return False if it or a later one was used before."""
        sql = (
            "update factors set last_step = ?, used_at = ?"
            " where factor_id = ? and (last_step is null or last_step < ?)"
        )
        return bool(self._connection.execute(sql, step, at, factor_id, step))

    def use_passkey(self, passkey: FactorRecord, counter: int, at: int) -> bool:
        """Set the counter of a passkey; return False if another sign-in has changed it since."""
        sql = "update factors set counter = ?, used_at = ? where factor_id = ? and counter = ?"
        values = counter, at, passkey.factor_id, passkey.counter
        return bool(self._connection.execute(sql, *values))

    def delete(self, user_id: str, factor_id: str) -> bool:
        """Delete a factor of an account; return whether it had it."""
        if not self._connection.can_store(factor_id):
            return False
        sql = "delete from factors where factor_id = ? and user_id = ?"
        return bool(self._connection.execute(sql, factor_id, user_id))

    def delete_all(self, user_id: str) -> None:
        """Delete the factors of an account, also one without a first code."""
        self._connection.execute("delete from factors where user_id = ?", user_id)

    def count_accounts(self) -> int:
        """Count the accounts that have a factor and are not suspended. It reads all factors."""
        sql = (
            "select count(*) from (select distinct user_id from factors"
            " where confirmed_at is not null) as found"
            " join live_users on live_users.user_id = found.user_id where suspended_at is null"
        )
        return self._connection.number(sql)

    def count_owners_without(self) -> int:
        """Count the owners without a factor who are not suspended."""
        sql = (
            "select count(*) from live_users"
            f" where permission_level = 'owner' and {without_second_factor('live_users')}"
        )
        return self._connection.number(sql)


class RecoveryCodes(Table):
    """Codes for accounts whose factor is lost: each works once."""

    def replace(self, user_id: str, hashes: Iterable[bytes]) -> None:
        """Store codes in place of those that an account has."""
        self._connection.execute("delete from recovery_codes where user_id = ?", user_id)
        for code_hash in hashes:
            sql = "insert into recovery_codes (hash, user_id) values (?, ?)"
            self._connection.execute(sql, code_hash, user_id)

    def count(self, user_id: str) -> int:
        """Return how many codes of an account are not used."""
        sql = "select count(*) from recovery_codes where user_id = ?"
        return self._connection.number(sql, user_id)

    def exists(self, user_id: str, code_hash: bytes) -> bool:
        """Whether an account has a code that is not used."""
        sql = "select 1 from recovery_codes where hash = ? and user_id = ?"
        return bool(self._connection.rows(sql, code_hash, user_id))

    def use(self, user_id: str, code_hash: bytes) -> bool:
        """Use up a code; return False if the account does not have it, or not any more."""
        sql = "delete from recovery_codes where hash = ? and user_id = ?"
        return bool(self._connection.execute(sql, code_hash, user_id))


class UsedChallenges(Table):
    """Challenges that passkeys have signed."""

    def add(self, challenge_hash: bytes, expires_at: int) -> bool:
        """Use up a challenge; return False if it was used before."""
        sql = "insert into used_challenges (hash, expires_at) values (?, ?) on conflict do nothing"
        return bool(self._connection.execute(sql, challenge_hash, expires_at))

    def has(self, challenge_hash: bytes) -> bool:
        sql = "select count(*) from used_challenges where hash = ?"
        return bool(self._connection.number(sql, challenge_hash))

    def purge(self, now: int) -> None:
        """Delete those that have expired. Locked ones stay for now."""
        sql = (
            "delete from used_challenges where hash in"
            " (select hash from used_challenges where expires_at <= ? {skip_locked})"
        )
        self._connection.execute(sql, now)


class FactorStates(Table):
    """The duty of accounts to have a second factor, and their wrong codes."""

    def get(self, user_id: str) -> FactorState:
        """Return the state of an account; one without anything if none is stored."""
        sql = f"select {columns(FactorState)} from factor_states where user_id = ?"
        return self._connection.one(FactorState, sql, user_id) or FactorState(user_id=user_id)

    def save(self, state: FactorState) -> None:
        """Store the state of a locked account."""
        self._connection.execute(_SAVE_STATE, *structs.astuple(state))
