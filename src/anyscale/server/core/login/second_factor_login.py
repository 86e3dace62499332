"""The second part of a sign-in: a passkey, a one-time code, or a recovery code."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    CodeRefused,
    HalfSignInExpired,
    PasskeyRefused,
    SeedKeyMissing,
)
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import live_session, user_actor
from anyscale.server.core.login.half_sign_in import Shown, find_half_sign_in
from anyscale.server.core.login.sessions import (
    ClientInfo,
    LockedAccount,
    LoginResult,
    known_device,
    lock_for_session,
)
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.core.mail.kinds import RECOVERY_CODE_USED
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.core.passkeys.ceremonies import PasskeyCeremonies
from anyscale.server.core.passkeys.challenges import Purpose
from anyscale.server.core.second_factor.keys import SeedKeys
from anyscale.server.core.second_factor.recovery_codes import recovery_code_hash
from anyscale.server.core.second_factor.seeds import decrypt_seed
from anyscale.server.core.second_factor.totp import clock_difference, clock_problem, matching_step
from anyscale.server.core.second_factor.wrong_codes import (
    count_wrong_code,
    forget_wrong_codes,
    why_no_codes,
)
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.shown_methods import WITH_CODE, united
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.factors import FactorKind, FactorState
from anyscale.server.store.records.login import HalfSignInRecord
from anyscale.server.store.transaction import Transaction

#: Wrong codes in a row after which a wrong clock is not named any more: it tells who guesses that a
#: code is right at another time.
_MOST_NAMED: Final = 3

_WRONG_CODE = "this code is wrong, or was used before: wait for the next one"
_WRONG_RECOVERY_CODE = "this is not one of your recovery codes, or it was used before"


class PendingSignIn(Struct, frozen=True):
    """Half a sign-in, and what its user can show next."""

    half: HalfSignInRecord
    email: str
    kinds: frozenset[FactorKind]
    has_recovery_codes: bool
    #: whose lost factors only the operator removes
    is_owner: bool
    #: what `navigator.credentials.get` takes; None if no passkey of the account works here
    passkey_options: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"PendingSignIn({self.email!r})"


class SecondFactorLogin:
    """Completes half sign-ins. Wrong codes count at the account, in the database."""

    def __init__(
        self,
        transactions: Transactions,
        gate: SignInGate,
        seed_keys: SeedKeys,
        outbox: Outbox,
        ceremonies: PasskeyCeremonies | None,
    ) -> None:
        self._transactions = transactions
        self._outbox = outbox
        self._gate = gate
        self._seed_keys = seed_keys
        self._ceremonies = ceremonies

    def set_path(self, cookie: str, path: str) -> None:
        """Set where the user of a cookie continues: a path of ours."""
        # A power cut may undo it: then the user continues at the account page.
        with self._transactions.write_unattended("sign-in", durable=False) as tx:
            tx.half_sign_ins.set_path(hash_of(cookie), path)

    def pending(self, cookie: str) -> PendingSignIn:
        """Return what the user of a cookie can show.

        Raises:
            HalfSignInExpired: it is too old, or the account was changed since, or has no second
                factor any more.
        """
        with self._transactions.read() as tx:
            half, account = find_half_sign_in(tx, hash_of(cookie))
            kinds = tx.factors.kinds(half.user_id)
            has_codes = tx.recovery_codes.count(half.user_id) > 0
        if not kinds:
            raise HalfSignInExpired("the second factors were removed: sign in again")
        options, is_owner = None, account.permission_level == "owner"
        if self._ceremonies and "passkey" in kinds:
            options = self._ceremonies.options_for(half.user_id, Purpose.SECOND_STEP, cookie)
        return PendingSignIn(half, account.email, kinds, has_codes, is_owner, options)

    def by_code(self, half: HalfSignInRecord, code: str, client: ClientInfo) -> LoginResult | None:
        """Complete a sign-in by a one-time code.

        Returns:
            The new session; None if the session stays, since its user has signed in again.

        Raises:
            CodeRefused: the code is wrong, or was used before.
            TooManyWrongCodes: too many were wrong in the last minutes.
            CodesOff: too many were wrong in a row.
            SeedKeyMissing: this server cannot read the seed.
            HalfSignInExpired: the account was changed since, or the session was revoked.
        """
        with self._transactions.read() as tx:  # a flood takes no lock
            is_known = bool(known_device(tx, half.user_id, client.device))
            state = tx.factor_states.get(half.user_id)
            refused = why_no_codes(tx, state, tx.now(), is_known=is_known)
        if refused:
            raise refused

        def use(tx: Transaction, now: int) -> str | AnyscaleError:
            # Others may have entered wrong ones since: codes at the same time count as in turn.
            state = tx.factor_states.get(half.user_id)
            if refused := why_no_codes(tx, state, now, is_known=is_known):
                return refused
            return self._use_code(tx, state, code, now)

        return self._complete(half, client, use)

    def by_recovery_code(
        self, half: HalfSignInRecord, code: str, client: ClientInfo
    ) -> LoginResult | None:
        """Complete a sign-in by a recovery code, as `by_code` does. It has no limits: 120 bits."""
        code_hash = recovery_code_hash(code)
        with self._transactions.read() as tx:  # a flood takes no lock
            if code_hash is None or not tx.recovery_codes.exists(half.user_id, code_hash):
                raise CodeRefused(_WRONG_RECOVERY_CODE)

        def use(tx: Transaction, _: int) -> str | AnyscaleError:
            if not tx.recovery_codes.use(half.user_id, code_hash):
                return CodeRefused(_WRONG_RECOVERY_CODE)
            user_id, actor = half.user_id, user_actor(half.user_id)
            self._outbox.add_notice(tx, RECOVERY_CODE_USED, user_id, actor)
            data = {"left": tx.recovery_codes.count(user_id)}
            append_entry(tx, actor, "recovery_code.used", user_id, data)
            return WITH_CODE

        return self._complete(half, client, use)

    def by_passkey(
        self, half: HalfSignInRecord, answer: str, cookie: str, client: ClientInfo
    ) -> LoginResult | None:
        """Complete a sign-in by the answer to `passkey_options`, as `by_code` does.

        `cookie` is the one of `pending`.

        Raises:
            PasskeyRefused: the answer is not accepted.
            TooManyFailedLogins: the account has too many sign-ins in this minute.
            HalfSignInExpired: the account was changed since, or the session was revoked.
        """
        if self._ceremonies is None:
            raise PasskeyRefused("off")
        ceremonies = self._ceremonies
        shown = ceremonies.verify(answer, Purpose.SECOND_STEP, cookie, half.user_id)
        return self._complete(half, client, lambda tx, now: ceremonies.use(tx, shown, now))

    def _complete(
        self,
        half: HalfSignInRecord,
        client: ClientInfo,
        use: Callable[[Transaction, int], str | AnyscaleError],
    ) -> LoginResult | None:
        """Lock the account, use up what was shown, and complete the sign-in.

        `use` returns its methods. An error that it returns is raised after the transaction, which
        has counted it.
        """
        with self._transactions.write_unattended("sign-in") as tx:
            locked = lock_for_session(tx, half.user_id, client)
            find_half_sign_in(tx, half.hash)  # it may have ended since
            assert locked
            methods = use(tx, locked.at)
            if isinstance(methods, str):
                forget_wrong_codes(tx, half.user_id)
                tx.half_sign_ins.delete(half.hash)
                return self._finish(tx, half, locked, client, methods)
        raise methods

    def _finish(
        self,
        tx: Transaction,
        half: HalfSignInRecord,
        locked: LockedAccount,
        client: ClientInfo,
        methods: str,
    ) -> LoginResult | None:
        # By SSO the provider says when the user was there, by a clock of its own.
        at = half.authenticated_at if half.auth_method == "sso" else locked.at
        shown = Shown(half.auth_method, united(half.methods, methods), at)
        if not half.session_id:
            result = self._gate.complete_sign_in(tx, locked, shown)
            assert isinstance(result, LoginResult)
            return result
        caller = live_session(tx, hash_of(client.session))
        if caller.session.session_id != half.session_id:
            raise HalfSignInExpired("the browser has another session by now: sign in again")
        self._gate.renew_sign_in(tx, caller, shown)
        return None

    def _use_code(
        self, tx: Transaction, state: FactorState, code: str, now: int
    ) -> str | AnyscaleError:
        difference = None
        for factor_id, seed in self._seeds(tx, state.user_id):
            step = matching_step(seed, code, now)
            if step is not None and tx.factors.use_step(factor_id, step, now):
                return WITH_CODE
            if step is None and state.failures < _MOST_NAMED:
                difference = difference or clock_difference(seed, code, now)
        count_wrong_code(tx, self._outbox, state, now)
        return CodeRefused(clock_problem(difference) if difference else _WRONG_CODE)

    def _seeds(self, tx: Transaction, user_id: str) -> list[tuple[str, bytes]]:
        """Return the apps of an account, by their ids, with their seeds.

        One that cannot be decrypted does not count beside others: its user has added a new one.
        Raises `SeedKeyMissing` if there are no others.
        """
        seeds, missing = list[tuple[str, bytes]](), None
        for app in tx.factors.list(user_id):
            if app.seed is None:  # a passkey
                continue
            try:
                seeds.append((app.factor_id, decrypt_seed(self._seed_keys, app.seed, user_id)))
            except SeedKeyMissing as error:
                missing = error
        if missing and not seeds:
            raise missing
        return seeds
