"""The authentication of applications by their secrets (RFC 6749, 2.3)."""

from hmac import compare_digest

from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.openid import ApplicationRecord


class ApplicationAuthentication:
    """Authenticates the requests of applications to the provider."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def authenticate(self, client_id: str, secret: str | None) -> ApplicationRecord:
        """Return the application of a request; `secret` is None if it sent none.

        Raises:
            OAuthError: `invalid_client`.
        """
        with self._transactions.read() as tx:
            application, now = tx.applications.get(client_id), tx.now()
        if application is None or not _is_authentic(application, secret, now):
            raise OAuthError("invalid_client", "the application or its secret is unknown")
        return application


def _is_authentic(application: ApplicationRecord, secret: str | None, now: int) -> bool:
    if application.is_public or secret is None:
        return application.is_public and secret is None
    formers = [one.hash for one in application.formers if one.works_until > now]
    current = application.secret_hash or b""
    return any(compare_digest(hash_of(secret), one) for one in (current, *formers))
