"""The settings that the pages show."""

from msgspec import Struct

__all__ = ["LoginOptions"]


class LoginOptions(Struct, frozen=True):
    """The sign-in methods and the name of a control plane, as the pages show them."""

    #: whether users sign in by email and password
    has_passwords: bool
    #: whether users sign in at an identity provider
    has_sso: bool
    #: characters of a new password
    password_min_length: int
    #: whether people who forgot their password can request a link by mail
    has_password_resets: bool = False
    #: the name of the organization; empty for that of this program
    organization: str = ""
