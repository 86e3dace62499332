"""Sign-in with only a passkey: it is two factors, the device and what unlocks it."""

from typing import Any, Final

from anyscale.domain.validation import Policy
from anyscale.errors import PasskeyRefused
from anyscale.server.core.callers import SessionCaller, user_actor
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown
from anyscale.server.core.login.password_login import PasswordLogin
from anyscale.server.core.login.sessions import ClientInfo, LoginResult, lock_for_session
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.core.passkeys.ceremonies import PasskeyCeremonies, ShownPasskey
from anyscale.server.core.passkeys.challenges import Purpose
from anyscale.server.core.second_factor.wrong_codes import forget_wrong_codes
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.users import AccountRecord


class PasskeyLogin:
    """Signs users in who have a password too, and show a passkey in its place.

    Everybody else signs in at an identity provider, and shows a passkey as the second factor there:
    otherwise a user that the provider has dismissed could still sign in.
    """

    def __init__(
        self,
        transactions: Transactions,
        ceremonies: PasskeyCeremonies,
        gate: SignInGate,
        password_login: PasswordLogin,
        policy: Policy,
    ) -> None:
        self._transactions = transactions
        self._gate = gate
        self._password_login = password_login
        self._policy = policy
        #: options of pages
        self.ceremonies: Final = ceremonies

    @property
    def is_offered(self) -> bool:
        return not self._policy.sso_only

    def verify(self, answer: str, browser: str) -> ShownPasskey:
        """Verify the answer to the options of the sign-in page. Raises `PasskeyRefused`."""
        return self.ceremonies.verify(answer, Purpose.SIGN_IN, browser)

    def login(self, shown: ShownPasskey, client: ClientInfo) -> LoginResult | HalfSignIn:
        """Complete the sign-in by a passkey that `verify` returned.

        Raises:
            PasskeyRefused: it was used before, or the account signs in by SSO first.
            InvalidCredentials, PasswordExpired: as of a sign-in by a right password.
            TooManyFailedLogins: the account has too many sign-ins in this minute.
        """
        user_id = shown.factor.user_id
        with self._transactions.write_unattended("sign-in") as tx:
            locked = lock_for_session(tx, user_id, client)
            if locked is None:
                raise PasskeyRefused("unknown")
            self._password_login.require_active(locked.account, locked.at)
            self._require_password(locked.account)
            methods = self.ceremonies.use(tx, shown, locked.at)
            forget_wrong_codes(tx, user_id)
            return self._gate.complete_sign_in(tx, locked, Shown("passkey", methods, locked.at))

    def options_again(self, caller: SessionCaller, browser: str) -> dict[str, Any] | None:
        """Return the options for a signed-in user to sign in again; None if there are none."""
        if not self._counts_alone(caller.account):
            return None
        user_id = caller.account.user_id
        return self.ceremonies.options_for(user_id, Purpose.SIGN_IN_AGAIN, browser)

    def sign_in_again(self, caller: SessionCaller, answer: str, browser: str) -> HalfSignIn | None:
        """Verify the answer to `options_again`, and record the sign-in. The session stays.

        Raises:
            PasskeyRefused, InvalidCredentials, PasswordExpired, TooManyFailedLogins: as `login`.
            NotAuthenticated: the session was revoked, or the account was suspended or deleted.
        """
        user_id = caller.account.user_id
        shown = self.ceremonies.verify(answer, Purpose.SIGN_IN_AGAIN, browser, user_id)
        with self._transactions.write_own(caller) as (tx, account):
            now = tx.now()
            self._password_login.require_active(account, now)
            self._require_password(account)
            methods = self.ceremonies.use(tx, shown, now)
            return self._gate.renew_sign_in(tx, caller, Shown("passkey", methods, now))

    def _require_password(self, account: AccountRecord) -> None:
        if not self._counts_alone(account):
            raise PasskeyRefused("sso_first", user_actor(account.user_id))

    def _counts_alone(self, account: AccountRecord) -> bool:
        return self.is_offered and account.password_hash is not None
