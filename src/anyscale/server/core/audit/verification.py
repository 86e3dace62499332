"""The check of the hash chain in slices, since one of a million entries takes seconds."""

from msgspec import Struct

from anyscale.domain.audit_chain import (
    FORGOTTEN,
    AuditEntry,
    Verdict,
    head_of,
    verify_beginning,
    verify_slice,
)
from anyscale.domain.models.audit import AuditFilter
from anyscale.server.core.audit.entries import AuditLog

#: entries of a slice: some 0.2 seconds
_SLICE = 20_000


class ChainSlice(Struct, frozen=True):
    """The result of a slice."""

    #: `NUMBER:HASH` of the last entry up to which the chain is intact; empty if there is none
    head: str
    #: the number of that entry
    number: int
    #: the number of the newest entry of the log
    newest: int
    #: what is wrong; None if nothing is
    fault: str | None
    #: what the log says about entries that were removed; None if the slice is not the first one
    removed: str | None

    @property
    def is_last(self) -> bool:
        """Whether there is nothing more to check."""
        return self.fault is not None or self.number >= self.newest


def verify_next_slice(audit_log: AuditLog, head: str, noted: str = "") -> ChainSlice:
    """Check the entries after a head, the result of the slice before; empty for the first slice.

    The first slice also checks that the log has the head that this server has logged, and `noted`,
    one that was stored elsewhere; empty for none. If the log begins after the head by now, as
    after a removal of old entries, the slice is again a first one.
    """
    newest = audit_log.list(0, 1, newest_first=True)
    verdict = (_follow(audit_log, head) if head else None) or _begin(audit_log, noted)
    last = newest[0].number if newest else 0
    return ChainSlice(verdict.head, _number_of(verdict.head), last, verdict.fault, verdict.removed)


def _number_of(head: str) -> int:
    return int(head.partition(":")[0]) if head else 0


def _begin(audit_log: AuditLog, noted: str) -> Verdict:
    found = audit_log.list(0, _SLICE)
    if not found:
        return Verdict(0, "", "it has no entries, and each sign-in adds one")
    first = found[0]
    only = AuditFilter(event=FORGOTTEN, subject=f"{first.number}")
    removals = audit_log.list(0, 1, only=only)
    beginning = verify_beginning(first, removals[0] if removals else None, noted or None)
    if fault := beginning.fault or _missing_head(audit_log, first, noted):
        # Old entries may have been removed since the first read: the log then begins later.
        is_same = audit_log.list(0, 1) == [first]
        return Verdict(0, "", fault) if is_same else _begin(audit_log, noted)
    slice_ = verify_slice(None, found)
    return Verdict(slice_.entries, slice_.head, slice_.fault, beginning.removed)


def _missing_head(audit_log: AuditLog, first: AuditEntry, noted: str) -> str | None:
    """Return which head the log should have and has not; None if it has all."""
    for head, words in (noted, "was noted"), (audit_log.logged_head, "this server has logged"):
        number = _number_of(head)
        # Earlier ones than the first entry were removed in time, which is checked before this.
        if number >= first.number:
            entry = audit_log.list(number - 1, 1)
            if not entry or head_of(entry[0]) != head:
                return f"it lacks the head {head}, which {words}: entries were changed or cut off"
    return None


def _follow(audit_log: AuditLog, head: str) -> Verdict | None:
    """Check the entries after a head; None if the log begins after it by now."""
    number = _number_of(head)
    # With the entry of the head, whose hash the next one covers.
    found = audit_log.list(number - 1, _SLICE + 1)
    if found and head_of(found[0]) == head:
        return verify_slice(found[0], found[1:])
    first = audit_log.list(0, 1)
    if first and first[0].number > number:
        return None
    return Verdict(0, head, f"entry {number} was changed or removed since the check began")
