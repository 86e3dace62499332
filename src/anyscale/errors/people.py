"""Errors of people who sign in, and of their accounts."""

from typing import Any

from anyscale.errors.base import AnyscaleError
from anyscale.errors.calls import Overloaded

__all__ = [
    "InvalidCredentials",
    "LastOwner",
    "LinkInvalid",
    "LinkRefused",
    "PasswordChangeNeeded",
    "PasswordExpired",
    "PasswordRefused",
    "SsoRefused",
    "TooManyFailedLogins",
]


class InvalidCredentials(AnyscaleError):
    """Nobody is signed in: the reason is given to whom it tells nothing new."""

    code = "invalid_credentials"
    status = 401


class SsoRefused(AnyscaleError):
    """What came back from the identity provider signs nobody in.

    Its text is the same for all reasons: it is shown to whoever sent the browser here.
    """

    code = "sso_refused"
    status = 403

    def __init__(self, reason: str, actor: str = "anonymous") -> None:
        super().__init__("the sign-in at your identity provider could not be accepted")
        #: The precise reason, for the log and the trail.
        self.reason = reason
        #: Whose account it would have been, where that is known.
        self.actor = actor

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by what the initialiser takes."""
        return type(self), (self.reason, self.actor)


class PasswordExpired(AnyscaleError):
    """The password that an administrator gave was not changed in time."""

    code = "password_expired"
    status = 403


class PasswordChangeNeeded(AnyscaleError):
    """The password that an administrator gave must be changed before anything else."""

    code = "password_change_needed"
    status = 403


class PasswordRefused(AnyscaleError):
    """A new password does not meet the policy."""

    code = "password_refused"
    status = 422


class LinkInvalid(AnyscaleError):
    """A one-time link was used, has expired, or never was."""

    code = "link_invalid"
    status = 410


class LinkRefused(AnyscaleError):
    """No one-time link is made: the account is suspended, or everybody signs in by SSO."""

    code = "link_refused"
    status = 409


class LastOwner(AnyscaleError):
    """The account is the only owner's that is not suspended: nobody could do without it."""

    code = "last_owner"
    status = 409


class TooManyFailedLogins(Overloaded):
    """Too many wrong passwords, for an account or from an address."""

    code = "throttled"
