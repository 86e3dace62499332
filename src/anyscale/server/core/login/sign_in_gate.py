"""The gate of every sign-in: it creates the session, or says that a second factor is due.

Nothing else creates a session, or renews the sign-in of one. It limits how many an account has.
"""

from msgspec import Struct, structs

from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown, add_half_sign_in
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.sessions import (
    LockedAccount,
    LoginResult,
    create_session,
    renew_session,
)
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.shown_methods import has_second_factor, united
from anyscale.server.store.transaction import Transaction


class SignInGate(Struct, frozen=True):
    """Completes sign-ins, by password, link, SSO and passkey.

    Its methods raise `TooManyFailedLogins` if the account has too many sign-ins of this kind in
    this minute: see `LoginRateLimiter`.
    """

    policy: SecondFactorPolicy
    rate_limiter: LoginRateLimiter

    def complete_sign_in(
        self, tx: Transaction, locked: LockedAccount, shown: Shown
    ) -> LoginResult | HalfSignIn:
        """Create a session, unless the account has a second factor that was not shown."""
        account, is_complete = locked.account, has_second_factor(shown.methods)
        user_id, known_by = account.user_id, locked.known_by
        has_factor = self._has_factor(tx, user_id)
        if has_factor and not is_complete:
            self.rate_limiter.record_half_sign_in(user_id, locked.client.address, known_by)
            return add_half_sign_in(tx, user_id, shown)
        self.rate_limiter.record_sign_in(user_id, shown.auth_method, known_by)
        is_safe = has_factor or is_complete
        due_at = None if is_safe else self.policy.due_at(tx, account, locked.at)
        return create_session(tx, locked, shown, due_at)

    def renew_sign_in(
        self, tx: Transaction, caller: SessionCaller, shown: Shown
    ) -> HalfSignIn | None:
        """Record that the user of a session has signed in again.

        The session stays, since runs and sign-ins at applications belong to it. The account is
        locked. What its user showed before counts with a second factor, and without one only what
        was shown now: the time of the sign-in is new, and two factors were not shown then.

        Returns:
            What is to be completed, if the account has a second factor that was not shown now.
        """
        is_complete = has_second_factor(shown.methods)
        user_id, session_id = caller.account.user_id, caller.session.session_id
        if not is_complete and self._has_factor(tx, user_id):
            self.rate_limiter.record_half_sign_in(user_id, "", session_id)
            return add_half_sign_in(tx, user_id, shown, session_id)
        self.rate_limiter.record_sign_in(user_id, shown.auth_method, session_id)
        if is_complete:
            methods = united(caller.session.methods, shown.methods)
            shown = structs.replace(shown, methods=methods)
        renew_session(tx, caller, shown)
        return None

    def _has_factor(self, tx: Transaction, user_id: str) -> bool:
        return self.policy.is_on and bool(tx.factors.kinds(user_id))
