"""Sign-in operations of the JSON API and the pages: each runs in its pool, and is counted."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    CodeRefused,
    InvalidCredentials,
    NotFound,
    SecondFactorNeeded,
)
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.login.passkey_login import PasskeyLogin
from anyscale.server.core.login.password_change import PasswordChanges
from anyscale.server.core.login.password_login import LoginAttempt, PasswordLogin
from anyscale.server.core.login.second_factor_login import SecondFactorLogin
from anyscale.server.core.login.sessions import ClientInfo, LoginResult
from anyscale.server.http.cookies import BROWSER, client_info, read_cookie
from anyscale.server.http.dependencies import Connection
from anyscale.server.http.login.refused_passkeys import record_refused_code
from anyscale.server.http.metrics import SIGN_INS
from anyscale.server.http.thread_pools import LoginThreadPool
from anyscale.server.store.records.login import HalfSignInRecord

if TYPE_CHECKING:
    from anyscale.server.core.sso.login_records import ExternalIdentity

_Result = TypeVar("_Result")


class LoginFlows(Struct, frozen=True):
    """Signs users in, each call in its thread pool; sign-ins are counted.

    A sign-in that needs a second factor is a `HalfSignIn`.
    """

    password_login: PasswordLogin
    password_changes: PasswordChanges
    second_factor: SecondFactorLogin
    passkeys: PasskeyLogin | None
    pools: LoginThreadPool

    async def run(self, connection: Connection, call: Callable[[ClientInfo], _Result]) -> _Result:
        """Make a call of a client that has proved who it is, in its pool: see `LoginThreadPool`."""
        client = client_info(connection)
        return await self.pools.run(partial(call, client), client.address, is_known=True)

    async def sign_in(
        self, method: str, connection: Connection, call: Callable[[ClientInfo], _Result]
    ) -> _Result:
        """Make a call that signs in, as `run` does, and count it by its method."""
        with _counted(method) as count:
            return count(await self.run(connection, call))

    async def by_password(
        self, connection: Connection, email: str, password: str
    ) -> LoginResult | HalfSignIn:
        """Sign in by email and password, as `PasswordLogin` does."""
        login, client = self.password_login, client_info(connection)
        with _counted("password") as count:
            # The look-up comes before the place in the pool: known browsers have places of their
            # own.
            attempt = await self.pools.look_ups.run(login.prepare, email, password, client)
            return count(await self._verified(attempt))

    async def _verified(self, attempt: LoginAttempt) -> LoginResult | HalfSignIn:
        """Verify a password in the pool of its kind; hold a refusal back for a fixed time."""
        pools, address = self.pools, attempt.client.address
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
        with _counted("link") as count:
            # This check comes before the place, too: only a valid link makes a client a known one.
            await self.pools.look_ups.run(self.password_changes.link_account, link)
            call = partial(self.password_changes.by_link, link, new)
            return count(await self.run(connection, call))

    async def by_sso(
        self,
        connection: Connection,
        identity: "Awaitable[ExternalIdentity]",
        call: "Callable[[ExternalIdentity, ClientInfo], _Result]",
    ) -> "tuple[ExternalIdentity, _Result]":
        """Make a call that signs in a user of the identity provider.

        It awaits the identity itself, so that a refused redirect is counted as a failed sign-in.
        """
        with _counted("sso") as count:
            user = await identity
            return user, count(await self.run(connection, partial(call, user)))

    async def by_passkey(self, connection: Connection, answer: str) -> LoginResult | HalfSignIn:
        """Sign in with only a passkey, as `PasskeyLogin` does."""
        login, browser = self.require_passkeys(), read_cookie(connection, BROWSER)
        with _counted("passkey") as count:
            # This check comes before the place, too: a valid answer makes a client a known one.
            shown = await self.pools.look_ups.run(login.verify, answer, browser)
            return count(await self.run(connection, partial(login.login, shown)))

    def require_passkeys(self) -> PasskeyLogin:
        """Return the sign-in by passkeys; raise `NotFound` if there are none here."""
        if self.passkeys is None:
            raise NotFound("there are no passkeys here")
        return self.passkeys

    async def by_second_factor(
        self,
        connection: Connection,
        half: HalfSignInRecord,
        *,
        code: str = "",
        recovery_code: str = "",
    ) -> LoginResult | None:
        """Complete half a sign-in by a one-time code or a recovery code: `SecondFactorLogin`."""
        method, call = "code", partial(self.second_factor.by_code, half, code)
        if recovery_code:
            by_recovery_code = self.second_factor.by_recovery_code
            method, call = "recovery_code", partial(by_recovery_code, half, recovery_code)
        try:
            return await self.sign_in(method, connection, call)
        except CodeRefused as error:
            await record_refused_code(connection, error, half.user_id)
            raise


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
