"""Signing out for an application (OpenID Connect RP-Initiated Logout 1.0)."""

from collections.abc import Mapping

from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.openid.id_token_hints import IdTokenHints
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.transactions import Transactions


class LogoutRequest(SensitiveStruct, frozen=True):
    """A valid request: what is known of the application, and where the browser goes afterwards."""

    #: the name of the application; None if the request names none
    application: str | None
    #: None for our own page
    redirect_uri: str | None
    state: str | None
    #: whether the ID token proves that it is the user's session, so that nobody has to be asked
    is_confirmed: bool


class LogoutService:
    """Checks the requests of applications that a user signs out."""

    def __init__(self, transactions: Transactions, hints: IdTokenHints) -> None:
        self._transactions = transactions
        self._hints = hints

    def check(self, values: Mapping[str, str], caller: SessionCaller | None) -> LogoutRequest:
        """Return what a request allows; one that proves nothing is confirmed by its user.

        The browser is redirected only to a registered address of the application, also after the
        user has confirmed.
        """
        claims = self._hints.claims(values.get("id_token_hint", ""))
        client_id = claims.get("aud") or values.get("client_id", "")
        if values.get("client_id", client_id) != client_id:
            claims, client_id = {}, ""
        with self._transactions.read() as tx:
            application = tx.applications.get(client_id)
        uri = values.get("post_logout_redirect_uri")
        is_registered = application is not None and uri in application.logout_redirects
        return LogoutRequest(
            application=application.name if application else None,
            redirect_uri=uri if is_registered else None,
            state=values.get("state"),
            is_confirmed=bool(caller and claims.get("sid") == caller.session.session_id),
        )
