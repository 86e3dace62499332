"""The second factors of a signed-in user: listing, adding, replacing and removing them."""

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from anyscale.domain.characters import is_visible
from anyscale.errors import CodeRefused, ConfigError, NotFound, NotPermitted
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import SessionCaller, SignInTooOld, live_session
from anyscale.server.core.ids import new_id
from anyscale.server.core.mail.kinds import FACTOR_ADDED, FACTOR_REMOVED
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.second_factor.keys import SeedKeys
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.second_factor.recovery_codes import (
    new_recovery_codes,
    recovery_code_hash,
)
from anyscale.server.core.second_factor.seeds import decrypt_seed, encrypt_seed
from anyscale.server.core.second_factor.totp import (
    clock_difference,
    clock_problem,
    matching_step,
    new_seed,
    otpauth_uri,
)
from anyscale.server.core.second_factor.wrong_codes import forget_wrong_codes
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.shown_methods import WITH_CODE, has_second_factor, united
from anyscale.server.core.steps import Step
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.factors import FactorRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

#: apps of an account: each costs 24 codes at a sign-in
_MOST_APPS: Final = 10
_NAME_LENGTH: Final = 64

_APP: Final = "totp"
_DEFAULT_NAME: Final = "Authenticator app"
_BEGUN_AGAIN: Final = (
    "you have begun again in another window: scan the new picture, enter its code, and delete the "
    "first entry in your app"
)
_WRONG_CODE: Final = "this code is wrong: enter the one that the app shows now"


class UserFactors(Struct, frozen=True):
    """The factors of a user that count, the oldest first, and how many recovery codes are left."""

    factors: Sequence[FactorRecord]
    recovery_codes: int


class NewApp(SensitiveStruct, frozen=True):
    """An app that does not count before its first code, in the session that has begun it."""

    factor_id: str
    seed: bytes
    #: for a QR code
    uri: str


class FactorService:
    """Changes the factors of signed-in users.

    Each change needs a sign-in of the last 15 minutes, with a second factor if the account has one.
    The methods that change something raise:

    - `NotAuthenticated`: the session was revoked, or the account was suspended or deleted.
    - `SignInTooOld`: the user has to sign in again, perhaps with a factor.
    - `NotPermitted`: `ANYSCALE_SECOND_FACTOR` is off.
    """

    def __init__(
        self,
        transactions: Transactions,
        seed_keys: SeedKeys,
        policy: SecondFactorPolicy,
        outbox: Outbox,
        organization: str,
    ) -> None:
        self._transactions = transactions
        self._seed_keys = seed_keys
        self._outbox = outbox
        self._issuer = organization or "musterroll"
        self.policy: Final = policy

    def list(self, caller: SessionCaller) -> UserFactors:
        """List the factors of a user; none if they are off."""
        if not self.policy.is_on:
            return UserFactors([], 0)
        user_id = caller.account.user_id
        with self._transactions.read() as tx:
            return UserFactors(tx.factors.list(user_id), tx.recovery_codes.count(user_id))

    def begin_app(self, caller: SessionCaller) -> NewApp:
        """Create an app in place of one that has shown no code, and return its seed.

        Raises:
            SeedKeyMissing: this server has no key that encrypts it.
            ConfigError: the account has ten apps.
        """
        seed = new_seed()
        with self.write(caller) as (tx, user):
            user_id, now = user.account.user_id, tx.now()
            if len([one for one in tx.factors.list(user_id) if one.kind == _APP]) >= _MOST_APPS:
                raise ConfigError(f"you have {_MOST_APPS} apps: remove one first")
            if last := tx.factors.pending_app(user_id):
                tx.factors.delete(user_id, last.factor_id)
            app = FactorRecord(
                factor_id=new_id("fac_", now),
                user_id=user_id,
                kind=_APP,
                name="",
                session_id=user.session.session_id,
                created_at=now,
                seed=encrypt_seed(self._seed_keys, seed, user_id),
            )
            tx.factors.add(app)
        return self._new_app(user.account, app, seed)

    def pending_app(self, caller: SessionCaller) -> NewApp | None:
        """Return the app that the session has begun, and that has not shown a code yet.

        Raises `SeedKeyMissing`.
        """
        self._require_on()
        with self._transactions.read() as tx:
            _require_present(tx, caller)
            app = _pending_app(tx, caller)
        return self._new_app(caller.account, app, self._seed(app)) if app else None

    def confirm_app(
        self,
        caller: SessionCaller,
        code: str,
        name: str = "",
        replaces: str = "",
        factor_id: str = "",
    ) -> Sequence[str]:
        """Let the new app of a user count, which has shown a code.

        Args:
            caller: the user.
            code: as the app shows it; it is used up.
            name: of the app, for the user.
            replaces: the id of a factor that is removed; empty for none.
            factor_id: of the app whose picture the user has seen; empty for the one that waits.

        Returns:
            Recovery codes, which are shown this once; none if the account had a factor before.

        Raises:
            NotFound: the session has not begun to add an app.
            CodeRefused: the code is wrong, or the session has begun again with another app.
            ConfigError: the name is too long.
            SeedKeyMissing: this server cannot read the seed.
        """
        name = checked_name(name, _DEFAULT_NAME)
        with self.write(caller) as (tx, user):
            now = tx.now()
            app = _pending_app(tx, user)
            if app is None:
                raise NotFound("you have not begun to add an app, or have added it by now")
            if factor_id not in ("", app.factor_id):
                raise CodeRefused(_BEGUN_AGAIN)
            step = _matching_step(self._seed(app), code, now)
            tx.factors.use_step(app.factor_id, step, now)
            tx.factors.confirm(app.factor_id, name, now)
            return self.record_added(tx, user, app, WITH_CODE, replaces)

    def renew_recovery_codes(self, caller: SessionCaller) -> Sequence[str]:
        """Create recovery codes in place of those of a user. They are shown this once.

        Raises:
            NotFound: the user has no second factor, which they could stand in for.
        """
        with self.write(caller) as (tx, user):
            if not tx.factors.kinds(user.account.user_id):
                raise NotFound("you have no second factor, and need no recovery codes")
            return _new_codes(tx, user)

    def remove(self, caller: SessionCaller, factor_id: str) -> None:
        """Remove a factor of a user; with the last one, the recovery codes.

        Raises:
            NotFound: the user has no such factor.
        """
        with self.write(caller) as (tx, user):
            user_id = user.account.user_id
            if not tx.factors.delete(user_id, factor_id):
                raise NotFound("you have no such second factor")
            if not tx.factors.kinds(user_id):
                tx.recovery_codes.replace(user_id, [])
                forget_wrong_codes(tx, user_id)
                due_at = self.policy.due_at(tx, user.account, tx.now())
                tx.sessions.set_factor_due(user_id, due_at)
            self._record_removed(tx, user, factor_id)

    def record_added(
        self,
        tx: Transaction,
        user: SessionCaller,
        factor: FactorRecord,
        shown: str,
        replaces: str = "",
    ) -> Sequence[str]:
        """Record that a user has added a factor, which counts by now, to the locked account.

        With the first one, the other sessions have to show it before the next change, the session
        of the user has shown it, and no session has to add one any more.

        Args:
            tx: the transaction.
            user: as the transaction reads the session.
            factor: which was added.
            shown: the methods that it shows: see `core.shown_methods`.
            replaces: the id of a factor that is removed; empty for none.

        Returns:
            Recovery codes if it is the first factor, else none.
        """
        user_id, session = user.account.user_id, user.session
        data = {"factor_id": factor.factor_id, "kind": factor.kind}
        append_entry(tx, user.actor, "factor.added", user_id, data)
        self._outbox.add_notice(tx, FACTOR_ADDED, user_id, user.actor)
        if len(tx.factors.list(user_id)) > 1:
            if replaces not in ("", factor.factor_id) and tx.factors.delete(user_id, replaces):
                self._record_removed(tx, user, replaces)
            return []
        tx.sessions.forget_sign_ins(user_id, keep=session.session_id)
        tx.sessions.set_factor_due(user_id, None)
        tx.sessions.set_methods(session.session_id, united(session.methods, shown))
        return _new_codes(tx, user)

    def require_present(self, caller: SessionCaller) -> None:
        """Raise as the methods that change something, before the user does something for it."""
        self._require_on()
        with self._transactions.read() as tx:
            _require_present(tx, caller)

    @contextmanager
    def write(self, caller: SessionCaller) -> "Iterator[tuple[Transaction, SessionCaller]]":
        """Write for a user, who has shown what a change needs; give the caller as it is now."""
        self._require_on()
        with self._transactions.write_own(caller, {Step.SECOND_FACTOR}) as (tx, _):
            # Another session may have added the first factor a moment ago.
            user = live_session(tx, caller.session.hash)
            _require_present(tx, user)
            yield tx, user

    def _record_removed(self, tx: Transaction, user: SessionCaller, factor_id: str) -> None:
        user_id = user.account.user_id
        append_entry(tx, user.actor, "factor.removed", user_id, {"factor_id": factor_id})
        self._outbox.add_notice(tx, FACTOR_REMOVED, user_id, user.actor)

    def _require_on(self) -> None:
        if not self.policy.is_on:
            raise NotPermitted("there are no second factors here: ANYSCALE_SECOND_FACTOR is off")

    def _seed(self, app: FactorRecord) -> bytes:
        assert app.seed
        return decrypt_seed(self._seed_keys, app.seed, app.user_id)

    def _new_app(self, account: AccountRecord, app: FactorRecord, seed: bytes) -> NewApp:
        return NewApp(app.factor_id, seed, otpauth_uri(seed, self._issuer, account.email))


def _new_codes(tx: Transaction, user: SessionCaller) -> list[str]:
    user_id, codes = user.account.user_id, new_recovery_codes()
    hashes = map(recovery_code_hash, codes)
    tx.recovery_codes.replace(user_id, [code_hash for code_hash in hashes if code_hash])
    append_entry(tx, user.actor, "recovery_codes.created", user_id, {"count": len(codes)})
    return codes


def _require_present(tx: Transaction, user: SessionCaller) -> None:
    """Raise `SignInTooOld` unless the user signed in a moment ago, and showed a factor if any."""
    user.require_recent_sign_in()
    if tx.factors.kinds(user.account.user_id) and not has_second_factor(user.session.methods):
        raise SignInTooOld(
            "your sign-in did not show your second factor: sign in again, and repeat the call"
        )


def _pending_app(tx: Transaction, user: SessionCaller) -> FactorRecord | None:
    """Return the app that the session has begun: its name until it has shown a code.

    Of one that a thief of another session has begun, the thief knows the seed.
    """
    app = tx.factors.pending_app(user.account.user_id)
    return app if app and app.session_id == user.session.session_id else None


def _matching_step(seed: bytes, code: str, now: int) -> int:
    step = matching_step(seed, code, now)
    if step is None:
        difference = clock_difference(seed, code, now)
        raise CodeRefused(clock_problem(difference) if difference else _WRONG_CODE)
    return step


def checked_name(name: str, default: str) -> str:
    """Return the name of a factor. Raise `ConfigError` if it is too long or not visible."""
    name = name.strip() or default
    if len(name) > _NAME_LENGTH or not is_visible(name):
        raise ConfigError(f"the name has at most {_NAME_LENGTH} characters, all of them visible")
    return name
