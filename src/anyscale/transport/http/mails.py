"""The calls of mail over HTTP."""

from collections.abc import Sequence
from typing import Any

from anyscale.domain.models.mail import Mail
from anyscale.domain.schemas.mail import MailingPage, MailLinks, MailPage, StoppedMailings
from anyscale.errors import NotFound
from anyscale.transport.http.ids import id_in_path
from anyscale.transport.http.retrying_client import RetryingClient


class Mails:
    """See `base.Mails`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def send_links(self, user_ids: Sequence[str]) -> None:
        self._mail_links(MailLinks(user_ids=list(user_ids)))

    def send_links_to_many(self, batch_id: str) -> None:
        batch = MailLinks(batch_id=batch_id) if batch_id else MailLinks(without_credentials=True)
        self._mail_links(batch)

    def list_mailings(self, before: str, limit: int) -> MailingPage:
        return self._request(MailingPage, "GET", "/v1/mailings", before=before, limit=limit)

    def list(self, after: str, limit: int, *, failed: bool) -> Sequence[Mail]:
        query: dict[str, Any] = {"failed": str(failed).lower(), "after": after, "limit": limit}
        return self._request(MailPage, "GET", "/v1/mails", **query).mails

    def stop(self, which: str) -> Sequence[str]:
        path = f"/v1/mailings/{id_in_path(which, NotFound.mailing)}/stop"
        return self._request(StoppedMailings, "POST", path).stopped

    def _mail_links(self, to: MailLinks) -> None:
        self._request(type(None), "POST", "/v1/users:mailSetPasswordLinks", to)
