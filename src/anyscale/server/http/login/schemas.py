"""Bodies of the sign-in calls. No `repr` contains a password or a link."""

from msgspec import Struct


class LoginRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The credentials of a user."""

    email: str
    password: str

    def __repr__(self) -> str:
        return "LoginRequest(...)"


class SetPasswordRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A new password, and the one-time link: all of it, or the part after the `#`."""

    link: str
    new_password: str

    def __repr__(self) -> str:
        return "SetPasswordRequest(...)"


class SecondFactorRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What completes a sign-in: a one-time code of an app, or a recovery code."""

    code: str = ""
    recovery_code: str = ""

    def __repr__(self) -> str:
        return "SecondFactorRequest(...)"


class LoginResponse(Struct, frozen=True):
    """The user who has signed in. The session itself is in the cookie."""

    user_id: str
    #: If true, the session allows only to change the password and to sign out.
    must_change_password: bool
