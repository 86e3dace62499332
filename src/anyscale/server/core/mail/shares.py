"""The shares of the rate: a quarter is for users who forgot their password, the rest for others.

Neither share lends the other one anything. So strangers, who may request mails of the first kind,
delay no other mail, and the times of other mails do not tell which requests have an account.
"""

from typing import Final, Literal

from anyscale.server.core.time_units import MINUTE_MS, SECOND_MS

#: the rows of `mail_rate`
Share = Literal[1, 2]
FOR_OTHERS: Final = 1
FOR_FORGOTTEN: Final = 2

#: what a share has of the rate
_PARTS: Final = {FOR_OTHERS: 0.75, FOR_FORGOTTEN: 0.25}

#: Milliseconds that each request of a forgotten password has to itself, at least.
_SLOT = 5 * SECOND_MS


def interval(share: Share, per_minute: int) -> int:
    """Return the milliseconds between two mails of a share, at so many mails a minute."""
    return max(int(MINUTE_MS / (per_minute * _PARTS[share])), 1)


def others_per_minute(per_minute: int) -> float:
    """Return how many mails a minute are sent to others than those who forgot their password."""
    return per_minute * _PARTS[FOR_OTHERS]


def slot(per_minute: int) -> int:
    """Return the milliseconds that each request of a forgotten password has to itself."""
    return max(_SLOT, interval(FOR_FORGOTTEN, per_minute))
