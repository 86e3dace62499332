"""The sign-in methods that the operator allows, as the pages show them."""

from msgspec import Struct

__all__ = ["LoginOptions"]


class LoginOptions(Struct, frozen=True):
    """The sign-in methods of a control plane."""

    #: whether users sign in by email and password
    has_passwords: bool
    #: whether users sign in at an identity provider
    has_sso: bool
    #: characters of a new password
    password_min_length: int
