"""The settings that the pages show."""

from msgspec import Struct

from anyscale.server.logo import Logo


class LoginOptions(Struct, frozen=True):
    """The sign-in methods and the name of a control plane, as the pages show them."""

    #: whether users sign in by email and password
    has_passwords: bool
    #: whether users sign in at an identity provider
    has_sso: bool
    #: characters of a new password
    password_min_length: int
    #: whether there is a relay that takes mails
    has_mail: bool = False
    #: whether users may add second factors
    has_second_factors: bool = True
    #: the name of the organization; empty for that of this program
    organization: str = ""
    #: a picture in place of the name; None if there is none
    logo: Logo | None = None
    #: why passkeys are not offered; empty if they are
    no_passkeys: str = "there is no address"

    @property
    def mails_links(self) -> bool:
        """Whether links to set a password are mailed: also to people who forgot theirs."""
        return self.has_mail and self.has_passwords
