"""How long a browser stays signed in, and known."""

from anyscale.server.core.time_units import DAY_MS, HOUR_MS
from anyscale.server.store.records.login import SessionRecord

#: milliseconds without a request after which a session expires
IDLE_LIMIT = 12 * HOUR_MS

#: milliseconds after which a session expires in any case
ABSOLUTE_LIMIT = 7 * DAY_MS

#: milliseconds that an account knows a browser that has signed in
DEVICE_LIMIT = 180 * DAY_MS


def is_live(session: SessionRecord, now: int) -> bool:
    """Whether a session has not expired."""
    return session.expires_at > now and session.used_at > now - IDLE_LIMIT
