"""Errors of second factors."""

from collections.abc import Mapping
from typing import ClassVar

from anyscale.errors.base import AnyscaleError, Overloaded, Unavailable


class SecondFactorNeeded(AnyscaleError):
    """The password was right, and the account has a second factor, which the caller shows next."""

    code = "second_factor_needed"
    status = 403


class SecondFactorDue(AnyscaleError):
    """The user of a session has to add a second factor before the session may be used."""

    code = "second_factor_due"
    status = 403


class HalfSignInExpired(AnyscaleError):
    """The first part of a sign-in is too old, is unknown, or counts no more."""

    code = "half_sign_in_expired"
    status = 401


class CodeRefused(AnyscaleError):
    """A one-time code or a recovery code is wrong, or was used before."""

    code = "code_refused"
    status = 401


class TooManyWrongCodes(Overloaded):
    """Too many one-time codes of an account were wrong in the last minutes."""

    code = "too_many_wrong_codes"


class CodesOff(AnyscaleError):
    """Too many one-time codes in a row were wrong: the account accepts no more of them."""

    code = "codes_off"
    status = 403


class PasskeyRefused(AnyscaleError):
    """A passkey was not accepted, or could not be added."""

    code = "passkey_refused"
    status = 403

    _ONCE_MORE: ClassVar[str] = "the passkey could not be accepted. Please try once more"
    #: reason -> what a user can do about it
    _MESSAGES: ClassVar[Mapping[str, str]] = {
        "browser": "this page belongs to another sign-in. Please try once more",
        "copied": (
            "this passkey may have been copied, so it is refused. Sign in another way, and remove "
            "this passkey from your account"
        ),
        "expired": "this page was open for more than an hour. Please try once more",
        "known": "this passkey was added before",
        "sso_first": (
            "this passkey is for after a sign-in by single sign-on (SSO): sign in by that first"
        ),
        "unknown": (
            "this passkey is not known here: it was removed, or is for another account. Sign in "
            "another way, and remove it from your device"
        ),
        "unverified": (
            "your device did not check that it is you. Set a PIN, a fingerprint or a face for it, "
            "and try once more"
        ),
        "used": "this sign-in was sent before. Please try once more",
    }

    def __init__(self, reason: str, actor: str = "anonymous") -> None:
        super().__init__(self._MESSAGES.get(reason, self._ONCE_MORE))
        #: The exact reason, for the server's log and the audit log.
        self.reason: str = reason
        #: The account as the audit log names it, if it is known.
        self.actor: str = actor


class SeedKeyMissing(Unavailable):
    """The server has no key that encrypts or decrypts the seeds of one-time codes."""

    code = "seed_key_missing"
