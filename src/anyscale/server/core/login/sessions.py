"""Sessions of signed-in browsers. A cookie has the secret, the database has its hash."""

from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from anyscale.errors import NotFound, StoreUnavailable
from anyscale.server.core.audit.entries import Entry, append_entries, append_entry
from anyscale.server.core.callers import (
    Caller,
    SessionCaller,
    live_session,
    require_accounts,
    user_actor,
)
from anyscale.server.core.ids import new_id
from anyscale.server.core.login.half_sign_in import HALF_LIMIT, Shown
from anyscale.server.core.permissions import Permission
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.secrets import SensitiveStruct, hash_of, new_secret
from anyscale.server.core.session_lifetime import ABSOLUTE_LIMIT, DEVICE_LIMIT, IDLE_LIMIT, is_live
from anyscale.server.core.steps import ANY_STEP, Step, pending_step
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: sessions of an account at most: one more revokes the oldest
_MOST_SESSIONS = 50

_AGENT_LENGTH = 200


class ClientInfo(SensitiveStruct, frozen=True):
    """The client of a request."""

    address: str
    #: the header `User-Agent`
    agent: str
    #: secrets of its cookies; empty where it has none
    device: str = ""
    session: str = ""


class SessionService:
    """Authenticates, lists and revokes sessions."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def authenticate(self, secret: str) -> SessionCaller:
        """Return the caller of a session cookie. It reads two rows, and writes nothing.

        Raises:
            NotAuthenticated: the session is unknown or expired, or the account is suspended.
        """
        with self._transactions.read() as tx:
            return live_session(tx, hash_of(secret))

    def touch(self, caller: SessionCaller) -> None:
        """Write the last use of a session that `is_touch_due`."""
        # The request itself may only read, and works while the database cannot be written.
        # It waits for no disk and no standby, since requests that only read wait for it.
        with (
            suppress(StoreUnavailable),
            self._transactions.write_unattended("last use", durable=False) as tx,
        ):
            tx.sessions.touch(caller.session.session_id, caller.at)

    def list(self, caller: SessionCaller) -> Sequence[SessionRecord]:
        """List the sessions of a user that are not expired, the latest first."""
        with self._transactions.read() as tx:
            now = tx.now()
            found = tx.sessions.list(caller.account.user_id)
        return [session for session in found if is_live(session, now)]

    def revoke(self, caller: SessionCaller, session_id: str) -> None:
        """Revoke a session of a user. Signing out needs no step of the session.

        Raises:
            NotFound: the user has no such session.
            NotAuthenticated: the caller's session was revoked, or the account was suspended or
                deleted.
            PasswordChangeNeeded, SecondFactorDue: it is another session than the caller's.
        """
        allowed = ANY_STEP if session_id == caller.session.session_id else ()
        with self._transactions.write_own(caller, allowed) as (tx, account):
            if not tx.sessions.delete(account.user_id, only=session_id):
                raise NotFound("there is no such session")
            append_entry(tx, caller.actor, "session.revoked", session_id, {})

    def revoke_others(self, caller: SessionCaller) -> int:
        """Revoke all other sessions of a user; return how many there were.

        Raises `NotAuthenticated`, `PasswordChangeNeeded` and `SecondFactorDue` as `revoke` does.
        """
        with self._transactions.write_own(caller) as (tx, account):
            user_id = account.user_id
            count = tx.sessions.delete(user_id, keep=caller.session.session_id)
            if count:
                append_entry(tx, caller.actor, "sessions.revoked", user_id, {"count": count})
        return count

    def revoke_all(self, caller: Caller, user_id: str) -> int:
        """Revoke all sessions of an account except the caller's; return how many there were.

        It is for owners: another user has to sign in again everywhere.

        Raises:
            NotFound: there is no such account.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        with self._transactions.write_for(caller, Permission.MANAGE_SIGN_IN, [user_id]) as (
            tx,
            locked,
        ):
            require_accounts(locked, [user_id])
            own = caller.session.session_id if isinstance(caller, SessionCaller) else ""
            count = tx.sessions.delete(user_id, keep=own)
            if count:
                append_entry(tx, caller.actor, "sessions.revoked", user_id, {"count": count})
        return count

    def prepare(self, policy: SecondFactorPolicy) -> None:
        """Let sign-ins from when second factors were off be too old: for a server that starts."""
        if policy.is_on:
            with self._transactions.write_unattended("clean-up") as tx:
                tx.sessions.forget_sign_ins_without_factor()

    def purge(self) -> None:
        """Delete what has expired: sessions, half sign-ins, links, and devices known no more."""
        with self._transactions.write_unattended("clean-up") as tx:
            now = tx.now()
            tx.sessions.purge(now - IDLE_LIMIT, now)
            tx.half_sign_ins.purge(now - HALF_LIMIT)
            tx.links.purge(now)
            tx.used_challenges.purge(now)
            tx.devices.purge(now - DEVICE_LIMIT)


class LockedAccount(Struct, frozen=True):
    """An account that is locked, so that a session of it may be created."""

    account: AccountRecord
    client: ClientInfo
    #: the session that the browser has now: its account, perhaps another one, is locked as well
    previous: SessionRecord | None
    #: What tells this browser from those of strangers: the device cookie, if the account knows it,
    #: or the session that the user is in; else empty.
    known_by: str
    #: milliseconds since 1970, by the database's clock; the time of the session and its entries
    at: int


class LoginResult(Struct, frozen=True):
    """A completed sign-in."""

    user_id: str
    #: secrets of the session and the device cookie, of which the database has only the hashes
    session: str
    device: str
    #: what the user has to do first
    pending: Step | None

    def __repr__(self) -> str:
        return f"LoginResult({self.user_id!r})"


def lock_for_session(tx: Transaction, user_id: str, client: ClientInfo) -> LockedAccount | None:
    """Lock an account, and the account of the session that the browser has, in the order of ids.

    It comes first in a transaction: two that lock in different orders would wait for each other.
    """
    previous = tx.sessions.get(hash_of(client.session)) if client.session else None
    locked = tx.accounts.lock({user_id} | ({previous.user_id} if previous else set()))
    account = locked.get(user_id)
    if account is None:
        return None
    known_by = known_device(tx, user_id, client.device) if client.device else ""
    return LockedAccount(account, client, previous, known_by, tx.now())


def known_device(tx: Transaction, user_id: str, device: str) -> str:
    """Return the device cookie of a browser, if the account knows it; else an empty text."""
    since = tx.now() - DEVICE_LIMIT
    return device if tx.devices.is_known(hash_of(device), user_id, since) else ""


def create_session(
    tx: Transaction, locked: LockedAccount, shown: Shown, factor_due_at: int | None
) -> LoginResult:
    """Create a session, and revoke the one that the browser had (ASVS 5.0, 7.2.4).

    Only `SignInGate` calls it. If the account has as many sessions as it may have, the oldest is
    revoked. From then on the account knows the device, and the transaction has locked the audit
    log.

    Args:
        tx: the transaction.
        locked: the account.
        shown: what its user has shown.
        factor_due_at: from when on the user has to add a second factor first; None for never.
    """
    user_id, now = locked.account.user_id, locked.at
    secret, device = new_secret(), locked.client.device
    is_known = locked.known_by == device  # by this account, which saves a statement
    if not device or not (is_known or tx.devices.exists(hash_of(device))):
        device = new_secret()  # not one that another site or user has put into the browser
    session = _new_session(locked, shown, hash_of(secret), factor_due_at)
    entries = [*_revoke_previous(tx, locked, session), *_revoke_oldest(tx, locked)]
    tx.sessions.add(session)
    tx.devices.save(hash_of(device), user_id, now)
    _mark_signed_in(tx, locked)
    details = {"auth_method": shown.auth_method, "methods": shown.methods}
    created = Entry(user_actor(user_id), "session.created", session.session_id, details)
    append_entries(tx, [*entries, created])
    return LoginResult(user_id, secret, device, pending_step(session, locked.account, now))


def renew_session(tx: Transaction, caller: SessionCaller, shown: Shown) -> None:
    """Record what the user of a session has shown in signing in again."""
    session_id = caller.session.session_id
    tx.sessions.renew(session_id, _not_later(shown.authenticated_at, tx.now()), shown.methods)
    data = {"auth_method": shown.auth_method, "methods": shown.methods}
    append_entry(tx, caller.actor, "session.renewed", session_id, data)


def _mark_signed_in(tx: Transaction, locked: LockedAccount) -> None:
    """Write the day of a sign-in, once a day: most sign-ins write no account.

    A later day was written while the clock was ahead.
    """
    today = locked.at - locked.at % DAY_MS
    if locked.account.last_sign_in != today:
        tx.accounts.mark_signed_in(locked.account.user_id, locked.at, today)


def _revoke_previous(tx: Transaction, locked: LockedAccount, new: SessionRecord) -> list[Entry]:
    previous = locked.previous
    if previous and previous.user_id == new.user_id:
        # Signing in again ends no sign-in at an application.
        tx.grants.move(previous.session_id, new.session_id)
    # Two windows of one browser may sign in at once: the session is revoked once.
    if previous and tx.sessions.delete(previous.user_id, only=previous.session_id):
        return [_end_of(previous, locked.at)]
    return []


def _revoke_oldest(tx: Transaction, locked: LockedAccount) -> list[Entry]:
    """Revoke the sessions of an account that leave no room for a new one."""
    user_id = locked.account.user_id
    oldest = tx.sessions.list(user_id)[_MOST_SESSIONS - 1 :]
    for session in oldest:
        tx.sessions.delete(user_id, only=session.session_id)
    return [_end_of(session, locked.at) for session in oldest]


def _end_of(session: SessionRecord, now: int) -> Entry:
    event = "session.revoked" if is_live(session, now) else "session.expired"
    return Entry(user_actor(session.user_id), event, session.session_id, {})


def _not_later(at: int | None, now: int) -> int | None:
    """Return the time of a sign-in: the clock of an identity provider may be ahead of ours."""
    return None if at is None else min(at, now)


def _new_session(
    locked: LockedAccount, shown: Shown, secret_hash: bytes, factor_due_at: int | None
) -> SessionRecord:
    client, now = locked.client, locked.at
    return SessionRecord(
        session_id=new_id("ses_", now),
        user_id=locked.account.user_id,
        hash=secret_hash,
        auth_method=shown.auth_method,
        methods=shown.methods,
        address=client.address,
        user_agent="".join(filter(str.isprintable, client.agent[:_AGENT_LENGTH])),
        authenticated_at=_not_later(shown.authenticated_at, now),
        factor_due_at=factor_due_at,
        created_at=now,
        used_at=now,
        expires_at=now + ABSOLUTE_LIMIT,
    )
