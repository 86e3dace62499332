"""Reasons: what somebody writes about a change for the audit log."""

import re

#: characters of a reason
MAX_REASON = 200

# Control characters would break lines of a log, and no database stores a lone surrogate.
_refused = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search


def reason_fault(reason: str) -> str | None:
    """Return what is wrong with a reason, or None."""
    if not reason.strip():
        return "the reason is blank: give one, for the audit log"
    if len(reason) > MAX_REASON:
        return f"the reason has {len(reason)} characters, and {MAX_REASON} are possible"
    return "the reason has a character that is not text" if _refused(reason) else None
