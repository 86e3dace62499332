"""Requests of applications that wait for a sign-in, in a signed cookie of the browser.

No server keeps any of them: so nobody can push out the requests of others, however many are sent.
"""

import zlib

from msgspec import MsgspecError, json

from anyscale.server.core.openid.authorization_parameters import AuthorizationParameters
from anyscale.server.core.openid.protocol import REQUEST_MS, OAuthError
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.signer import Signer
from anyscale.server.core.transactions import Transactions

#: Characters of the cookie with several requests: some twenty. Many proxies refuse a response whose
#: headers have over 4,096 octets.
_MOST = 2_000
#: characters of the cookie with one long request: browsers ignore a cookie of over 4,096 octets
_MOST_OF_ONE = 3_900


class WaitingRequest(SensitiveStruct, frozen=True, array_like=True):
    """A valid request, as its browser has it."""

    request_id: str
    #: milliseconds since 1970
    created_at: int
    #: The sign-in is not older: milliseconds since 1970; 0 for any.
    newer_than: int
    parameters: AuthorizationParameters


class StoredRequests:
    """Reads and writes the cookie of a browser, which has its latest requests, the newest first."""

    def __init__(self, transactions: Transactions) -> None:
        self._signer = Signer(transactions, "authorization_requests")

    def find(self, cookie: str, request_id: str | None, now: int) -> WaitingRequest | None:
        """Return a request that has not expired; without an id the newest one."""
        found = (one for one in self._read(cookie, now) if request_id in (None, one.request_id))
        return next(found, None)

    def added(self, cookie: str, new: WaitingRequest) -> str:
        """Return the cookie with one more request, without the oldest ones if it is too long.

        Raises:
            OAuthError: the request is too long for a cookie.
        """
        waiting = [new, *self._read(cookie, new.created_at)]
        text = self._written(waiting)
        while len(text) > _MOST and len(waiting) > 1:
            text = self._written(waiting := waiting[:-1])
        if len(text) > _MOST_OF_ONE:
            detail = "state, nonce, login_hint and redirect_uri are too long together"
            raise OAuthError("invalid_request", detail)
        return text

    def removed(self, cookie: str, request_id: str, now: int) -> str:
        """Return the cookie without a request; empty if it was the only one."""
        waiting = [one for one in self._read(cookie, now) if one.request_id != request_id]
        return self._written(waiting) if waiting else ""

    def _read(self, cookie: str, now: int) -> list[WaitingRequest]:
        """Return the requests that have not expired; none of a cookie that is not ours."""
        try:
            content = zlib.decompress(self._signer.unsign(cookie))
            waiting = json.decode(content, type=list[WaitingRequest])
        except (MsgspecError, ValueError, zlib.error):
            return []
        return [one for one in waiting if one.created_at > now - REQUEST_MS]

    def _written(self, waiting: list[WaitingRequest]) -> str:
        return self._signer.sign(zlib.compress(json.encode(waiting)))
