"""The calls of the audit log over HTTP."""

from typing import Any

from msgspec import structs

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.schemas.audit import AuditPage
from anyscale.domain.times import from_milliseconds
from anyscale.transport.http.retrying_client import RetryingClient


class Audit:
    """See `base.Audit`."""

    def __init__(self, client: RetryingClient) -> None:
        self._request = client.request

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        parameters: dict[str, Any] = {"after": after, "limit": limit}
        if only:
            parameters |= _audit_parameters(only)
        if before is not None:
            parameters["before"] = before
        if newest_first:
            parameters["order"] = "-created"
        return self._request(AuditPage, "GET", "/v1/audit", **parameters).entries


def _audit_parameters(only: AuditFilter) -> dict[str, str]:
    texts = {name: text for name, text in structs.asdict(only).items() if isinstance(text, str)}
    times = {"from": only.since, "until": only.until}
    given = {name: at for name, at in times.items() if at is not None}
    return {name: text for name, text in texts.items() if text} | {
        name: from_milliseconds(at).isoformat() for name, at in given.items()
    }
