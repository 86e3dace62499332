"""A sign-in at an identity provider: what the browser keeps until then, and who has signed in."""

from anyscale.server.core.secrets import SensitiveStruct


class SsoAttempt(SensitiveStruct, frozen=True):
    """The secrets of a sign-in, which the browser keeps until the provider redirects it back."""

    issuer: str
    state: str
    nonce: str
    #: (RFC 7636, 4.1)
    verifier: str
    #: the stored request of an application for which the user signs in; empty if there is none
    request_id: str = ""
    #: seconds since the user's sign-in at the provider at most
    max_age: int | None = None
    #: the session whose user signs in again; empty if the sign-in creates a session
    session_id: str = ""
    #: the address where the user of that session continues: a path of ours
    return_path: str = ""


class ExternalIdentity(SensitiveStruct, frozen=True):
    """A user of the provider, as the claims of the ID token describe it."""

    issuer: str
    subject: str
    email: object
    email_verified: object
    #: When the user signed in there: milliseconds since 1970; None if the provider does not say it.
    authenticated_at: int | None = None
    #: whether the user has shown two factors there
    has_second_factor: bool = False
    #: the stored request of an application for which the user has signed in; empty without one
    request_id: str = ""
