"""Applications, the programs that sign users in, as owners see and change them."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from anyscale.domain.models.base import CheckedModel


class NewApplication(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An application to be created."""

    name: str
    #: https URLs, or http ones of loopback, that are compared character for character
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str] = []
    #: Whether it has no secret, as a program in a browser.
    is_public: bool = False
    #: Whether it receives refresh tokens.
    refresh_tokens: bool = False
    requires_pkce: bool = True
    #: Whether only users who show a second factor may sign in.
    requires_second_factor: bool = False
    #: `owners`, domains and ids of batches: one must match a user; empty for all users.
    audience: list[str] = []
    #: An https URL where users begin, who see it on their account page; None without one.
    address: str | None = None


class ApplicationChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New values of fields of an application. A field that is unset stays as it is."""

    name: str | UnsetType = UNSET
    redirect_uris: list[str] | UnsetType = UNSET
    post_logout_redirect_uris: list[str] | UnsetType = UNSET
    refresh_tokens: bool | UnsetType = UNSET
    requires_pkce: bool | UnsetType = UNSET
    requires_second_factor: bool | UnsetType = UNSET
    audience: list[str] | UnsetType = UNSET
    #: None removes it.
    address: str | UnsetType | None = UNSET


class Application(Struct, frozen=True, kw_only=True):
    """An application, without its secret."""

    client_id: str
    name: str
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    is_public: bool
    refresh_tokens: bool
    requires_pkce: bool
    requires_second_factor: bool
    audience: list[str]
    address: str | None
    #: the actor
    created_by: str
    #: in UTC
    created_at: datetime
    #: when a user last signed in there, to the minute, in UTC; None if nobody did
    last_sign_in_at: datetime | None


class CreatedApplication(CheckedModel, frozen=True, gc=False):
    """An application with a new secret, which is shown this once."""

    application: Application
    #: None for a public application. `repr` hides it.
    client_secret: str | None
    #: The address of the provider; None while none is set, and no application can sign users in.
    issuer: str | None
