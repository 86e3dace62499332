"""The bodies of the responses of the audit log."""

from msgspec import Struct

from anyscale.domain.audit_chain import AuditEntry


class AuditPage(Struct, frozen=True):
    """A page of the audit log."""

    entries: list[AuditEntry]
