"""Sign-in operations of the JSON API and the pages: each runs in its pool, and is counted."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    CodeRefused,
    InvalidCredentials,
    NotFound,
    SecondFactorNeeded,
)
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.login.passkey_login import PasskeyLogin
from anyscale.server.core.login.password_change import PasswordChanges
from anyscale.server.core.login.password_login import LoginAttempt, PasswordLogin
from anyscale.server.core.login.password_resets import PasswordResets
from anyscale.server.core.login.second_factor_login import PendingSignIn, SecondFactorLogin
from anyscale.server.core.login.sessions import LoginResult
from anyscale.server.http.cookies import BROWSER, HALF_SIGN_IN, SESSION, client_info, read_cookie
from anyscale.server.http.dependencies import Connection
from anyscale.server.http.login.refused_passkeys import record_refused_code
from anyscale.server.http.metrics import SIGN_INS
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.store.records.login import HalfSignInRecord
from anyscale.server.store.records.users import AccountRecord

if TYPE_CHECKING:
    from anyscale.server.core.sso.login_records import ExternalIdentity
    from anyscale.server.core.sso.sso_login import SsoLogin

_Result = TypeVar("_Result", LoginResult | HalfSignIn, HalfSignIn | None)


class LoginFlows(Struct, frozen=True):
    """Signs users in. Each method runs in its thread pool; sign-ins are counted.

    A sign-in that needs a second factor is a `HalfSignIn`.
    """

    password_login: PasswordLogin
    password_changes: PasswordChanges
    password_resets: PasswordResets
    second_factor: SecondFactorLogin
    passkeys: PasskeyLogin | None
    pools: ThreadPools

    async def by_password(
        self, connection: Connection, email: str, password: str
    ) -> LoginResult | HalfSignIn:
        """Sign in by email and password, as `PasswordLogin` does."""
        login, client = self.password_login, client_info(connection)
        with _counted("password") as count:
            # The look-up comes before the place in the pool: known browsers have places of their
            # own.
            attempt = await self.pools.login.look_ups.run(login.prepare, email, password, client)
            return count(await self._verified(attempt))

    async def _verified(self, attempt: LoginAttempt) -> LoginResult | HalfSignIn:
        """Verify a password in the pool of its kind; hold a refusal back for a fixed time."""
        pools, address = self.pools.login, attempt.client.address
        call = partial(self.password_login.login, attempt)
        started = time.monotonic()
        # A known browser needs no place, which a flood of others could have: its own limit is low.
        needs_place = attempt.refusal_seconds and not attempt.known_device
        with pools.refusals.place(address) if needs_place else nullcontext():
            try:
                if attempt.is_imported:
                    return await pools.run_imported(call, address)
                return await pools.run(call, address, is_known=bool(attempt.known_device))
            except InvalidCredentials:
                await pools.refusals.wait_until(started + attempt.refusal_seconds)
                raise

    async def by_link(
        self, connection: Connection, link: str, new: str
    ) -> LoginResult | HalfSignIn:
        """Set a password by a one-time link and sign in, as `PasswordChanges.by_link` does."""
        client = client_info(connection)
        with _counted("link") as count:
            # This check comes before the place, too: only a valid link makes a client a known one.
            await self.link_account(link)
            call = partial(self.password_changes.by_link, link, new, client)
            return count(await self.pools.login.run(call, client.address, is_known=True))

    async def fault_of(self, new: str, account: AccountRecord) -> str:
        """Return what is wrong with a new password, as `PasswordChanges.fault_of` does."""
        return await self.pools.login.look_ups.run(self.password_changes.fault_of, new, account)

    async def link_account(self, link: str) -> AccountRecord:
        """Return the account of a one-time link, as `PasswordChanges.link_account` does."""
        return await self.pools.login.look_ups.run(self.password_changes.link_account, link)

    async def request_reset(self, connection: Connection, email: str) -> None:
        """Request a link by mail, as `PasswordResets.request` does.

        It takes a place of an unknown client's sign-in, which the networks of the clients share.
        """
        address = client_info(connection).address
        call = partial(self.password_resets.request, email, address)
        await self.pools.login.run(call, address, is_known=False)

    async def by_sso(
        self, connection: Connection, sso_login: "SsoLogin", identity: "Awaitable[ExternalIdentity]"
    ) -> "tuple[ExternalIdentity, LoginResult | HalfSignIn]":
        """Sign in a user of the identity provider, as `SsoLogin.login` does.

        It awaits the identity itself, so that a refused redirect is counted as a failed sign-in.
        """
        client = client_info(connection)
        with _counted("sso") as count:
            user = await identity
            call = partial(sso_login.login, user, client)
            return user, count(await self.pools.login.run(call, client.address, is_known=True))

    async def again_by_password(
        self, connection: Connection, caller: SessionCaller, password: str
    ) -> HalfSignIn | None:
        """Record that a signed-in user signs in again, as `PasswordLogin.sign_in_again` does."""
        client = client_info(connection)
        call = partial(self.password_login.sign_in_again, caller, password, client)
        with _counted("password") as count:
            return count(await self.pools.login.run(call, client.address, is_known=True))

    async def again_by_sso(
        self,
        connection: Connection,
        sso_login: "SsoLogin",
        session_id: str,
        identity: "Awaitable[ExternalIdentity]",
    ) -> HalfSignIn | None:
        """Record that a signed-in user signs in again, as `SsoLogin.sign_in_again` does."""
        client = client_info(connection)
        with _counted("sso") as count:
            call = partial(sso_login.sign_in_again, await identity, session_id, client)
            return count(await self.pools.login.run(call, client.address, is_known=True))

    async def by_passkey(self, connection: Connection, answer: str) -> LoginResult | HalfSignIn:
        """Sign in with only a passkey, as `PasskeyLogin` does."""
        client, browser = client_info(connection), read_cookie(connection, BROWSER)
        login = self.require_passkeys()
        with _counted("passkey") as count:
            # This check comes before the place, too: a valid answer makes a client a known one.
            shown = await self.pools.login.look_ups.run(login.verify, answer, browser)
            call = partial(login.login, shown, client)
            return count(await self.pools.login.run(call, client.address, is_known=True))

    async def again_by_passkey(
        self, connection: Connection, caller: SessionCaller, answer: str
    ) -> HalfSignIn | None:
        """Record that a signed-in user signs in again, as `PasskeyLogin.sign_in_again` does."""
        client = client_info(connection)
        call = partial(self.require_passkeys().sign_in_again, caller, answer, client.session)
        with _counted("passkey") as count:
            return count(await self.pools.login.run(call, client.address, is_known=True))

    async def passkey_options_again(
        self, connection: Connection, caller: SessionCaller
    ) -> dict[str, Any] | None:
        """Return what `PasskeyLogin.options_again` does; None if there are no passkeys here."""
        if self.passkeys is None:
            return None
        session = read_cookie(connection, SESSION)
        return await self.pools.login.look_ups.run(self.passkeys.options_again, caller, session)

    def require_passkeys(self) -> PasskeyLogin:
        """Return the sign-in by passkeys; raise `NotFound` if there are none here."""
        if self.passkeys is None:
            raise NotFound("there are no passkeys here")
        return self.passkeys

    async def set_half_path(self, half: HalfSignIn, path: str) -> None:
        """Set where the user of half a sign-in continues, as `SecondFactorLogin` does."""
        await self.pools.login.applications.run(self.second_factor.set_path, half.secret, path)

    async def pending(self, cookie: str) -> PendingSignIn:
        """Return what the user of a cookie can show next, as `SecondFactorLogin` does."""
        return await self.pools.login.look_ups.run(self.second_factor.pending, cookie)

    async def by_second_factor(
        self,
        connection: Connection,
        half: HalfSignInRecord,
        *,
        code: str = "",
        recovery_code: str = "",
    ) -> LoginResult | None:
        """Complete half a sign-in by a one-time code or a recovery code: `SecondFactorLogin`."""
        client = client_info(connection)
        call = partial(self.second_factor.by_code, half, code, client)
        if recovery_code:
            call = partial(self.second_factor.by_recovery_code, half, recovery_code, client)
        with _counted("recovery_code" if recovery_code else "code"):
            try:
                return await self.pools.login.run(call, client.address, is_known=True)
            except CodeRefused as error:
                await record_refused_code(connection, error, half.user_id)
                raise

    async def complete_by_passkey(
        self, connection: Connection, half: HalfSignInRecord, answer: str
    ) -> LoginResult | None:
        """Complete half a sign-in by a passkey, as `SecondFactorLogin.by_passkey` does."""
        client, cookie = client_info(connection), read_cookie(connection, HALF_SIGN_IN)
        call = partial(self.second_factor.by_passkey, half, answer, cookie, client)
        with _counted("passkey"):
            return await self.pools.login.run(call, client.address, is_known=True)

    async def change_password(
        self, connection: Connection, caller: SessionCaller, current: str, new: str
    ) -> LoginResult | HalfSignIn:
        """Change the password of a signed-in user, as `PasswordChanges.change_password` does."""
        client = client_info(connection)
        call = partial(self.password_changes.change_password, caller, current, new, client)
        return await self.pools.login.run(call, client.address, is_known=True)


@contextmanager
def _counted(method: str) -> Iterator[Callable[[_Result], _Result]]:
    """Count a sign-in by its method and its result, which the block may pass to what it gets."""
    result, signed_in = "internal", "signed_in"

    def count(returned: _Result) -> _Result:
        nonlocal signed_in
        if isinstance(returned, HalfSignIn):
            signed_in = SecondFactorNeeded.code
        return returned

    try:
        yield count
        result = signed_in
    except AnyscaleError as error:
        result = error.code
        raise
    finally:
        SIGN_INS.labels(method, result).inc()
