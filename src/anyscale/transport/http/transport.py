"""The control plane over HTTP; a call is repeated until it gets a response."""

from collections.abc import Callable

from anyscale.domain.validation import Policy
from anyscale.transport.base import Outage
from anyscale.transport.http.applications import Applications
from anyscale.transport.http.audit import Audit
from anyscale.transport.http.batches import Batches
from anyscale.transport.http.links import Links
from anyscale.transport.http.mails import Mails
from anyscale.transport.http.retrying_client import RetryingClient
from anyscale.transport.http.users import Users

#: requests at a time, at most
_AT_ONCE = 4


class HttpTransport:
    """Calls a control plane over HTTP; the token is an owner's."""

    # Requests at a time, at most: the control plane may accept fewer. Of two chunks one is written
    # and one is on its way or checked; a third would take 10 MiB on each side and save no time.
    reservations_at_once = 2
    hashes_at_once = _AT_ONCE

    def __init__(
        self,
        host: str,
        token: str,
        on_notice: Callable[[str], None] = lambda _: None,
        on_outage: Callable[[Outage], None] = lambda _: None,
        *,
        token_source: str = "",
    ) -> None:
        self.where: str = host.rstrip("/")
        self.on_notice = on_notice
        self._client = RetryingClient(
            self.where, token, _AT_ONCE, on_notice, on_outage, token_source=token_source
        )
        self.batches: Batches = Batches(self._client)
        self.users: Users = Users(self._client)
        self.links: Links = Links(self._client)
        self.mails: Mails = Mails(self._client)
        self.applications: Applications = Applications(self._client)
        self.audit: Audit = Audit(self._client)

    @property
    def retries(self) -> int:
        return self._client.retries

    def policy(self) -> Policy:
        return self._client.request(Policy, "GET", "/v1/policy")

    def cancel_retries(self) -> None:
        self._client.cancel_retries()

    def close(self) -> None:
        self._client.close()
