"""The record of the audit log."""

from anyscale.server.store.records.record import Record


class AuditRecord(Record, frozen=True):
    """An entry of the audit log."""

    number: int
    at: int
    actor: str
    event: str
    subject: str
    #: JSON
    data: str
    #: SHA-256 over the previous entry's hash and the fields of this one
    hash: bytes
