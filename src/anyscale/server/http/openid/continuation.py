"""What follows a sign-in: the account page, or the stored request of an application.

The sign-in pages carry the id of the request, never an address.
"""

from contextlib import suppress

from msgspec import Struct

from anyscale.errors import NotFound
from anyscale.server.core.openid.authorization import StoredRequest
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.http.cookies import AUTHORIZATION, read_cookie
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.openid.authorize import REQUEST_EXPIRED, resume_path
from anyscale.server.http.thread_pools import ThreadPools

#: the note of the pages that follow, by their parameter `note`
LOST_REQUEST_NOTES = {
    REQUEST_EXPIRED: "The request of the application has expired: open the application again."
}


class Continuation(Struct, frozen=True):
    """What follows a sign-in, and what its page shows of it."""

    #: None if no application waits for the sign-in
    stored: StoredRequest | None = None
    #: whether an application waited for it, whose request has expired or was answered
    is_lost: bool = False

    @property
    def request_id(self) -> str:
        """The id that the pages carry; empty without an application."""
        return self.stored.request_id if self.stored else ""

    @property
    def resumed_id(self) -> str:
        """The id to resume after a sign-in elsewhere; that of a lost request leads to its note."""
        return "lost" if self.is_lost else self.request_id

    @property
    def application(self) -> str:
        """The name of the application; empty without one."""
        return self.stored.application.name if self.stored else ""

    @property
    def login_hint(self) -> str:
        """The email that the application suggests."""
        return self.stored.parameters.login_hint if self.stored else ""

    def path(self, default: str = "/", note: str = "") -> str:
        """Return the address that follows the sign-in: without an application, a page of ours.

        The page shows the note, or the one that the request is lost.
        """
        if self.stored:
            return resume_path(self.request_id)
        shown = REQUEST_EXPIRED if self.is_lost else note
        separator = "&" if "?" in default else "?"
        return f"{default}{separator}note={shown}" if shown else default


class Continuations(Struct, frozen=True):
    """Finds what follows the sign-in of a browser."""

    provider: OpenIdProvider | None
    pools: ThreadPools

    def find(self, request: AnyRequest, request_id: str) -> Continuation:
        """Return what follows; without an id our own page."""
        return self._stored(request, request_id) if request_id else Continuation()

    async def get(self, request: AnyRequest, request_id: str) -> Continuation:
        """Return what `find` does, in the event loop."""
        return await self.pools.login.applications.run(self.find, request, request_id)

    def find_newest(self, request: AnyRequest) -> Continuation:
        """Return what follows for a browser whose page has no id, as after a one-time link."""
        return self._stored(request, None)

    async def newest(self, request: AnyRequest) -> Continuation:
        """Return what `find_newest` does, in the event loop."""
        return await self.pools.login.applications.run(self.find_newest, request)

    def _stored(self, request: AnyRequest, request_id: str | None) -> Continuation:
        browser = read_cookie(request, AUTHORIZATION)
        if self.provider and browser:
            with suppress(NotFound):
                return Continuation(self.provider.authorization.stored(request_id, browser))
        return Continuation(is_lost=bool(request_id))
