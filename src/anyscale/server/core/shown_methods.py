"""What a user showed in a sign-in, as the claim `amr` names it (RFC 8176).

A session has such methods as one text, separated by blanks: `pwd`, `otp` (a one-time or a recovery
code), `swk` (a passkey that may be stored in several devices), `hwk` (one that may not), and `mfa`
for two factors, which a passkey is by itself: the device, and what unlocks it. After a sign-in by
SSO the text is empty, or `mfa` if the identity provider says that the user showed two factors.
"""

from typing import Final

PASSWORD: Final = "pwd"  # noqa: S105 - the name of a method
#: what a code adds to another method
WITH_CODE: Final = "otp mfa"
#: that two factors were shown, whichever they are
TWO_FACTORS: Final = "mfa"

#: the order of the methods in a text
_ORDER = "pwd", "otp", "swk", "hwk", TWO_FACTORS


def has_second_factor(methods: str) -> bool:
    """Whether two factors were shown."""
    return TWO_FACTORS in methods.split()


def passkey_methods(*, can_be_backed_up: bool) -> str:
    """Return what a passkey shows; `can_be_backed_up` is whether several devices may store it."""
    return f"{'swk' if can_be_backed_up else 'hwk'} {TWO_FACTORS}"


def united(*texts: str) -> str:
    """Return the methods of several texts, each once, in their order."""
    shown = {method for text in texts for method in text.split()}
    return " ".join(method for method in _ORDER if method in shown)
