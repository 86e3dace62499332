"""The records of the OpenID provider: applications, grants, public keys."""

from collections.abc import Collection
from typing import NamedTuple

from msgspec import json

from anyscale.server.store.records.record import Record


class Audience(NamedTuple):
    """The users of an application: owners, emails of domains, accounts of published batches."""

    owners: bool = False
    domains: Collection[str] = ()
    batch_ids: Collection[str] = ()


class FormerSecret(Record, frozen=True):
    """A secret that was replaced, and works for a while."""

    #: SHA-256
    hash: bytes
    #: milliseconds since 1970
    works_until: int


class ApplicationRecord(Record, frozen=True, kw_only=True):
    """A program that signs our users in. Of its secrets only the hashes are stored."""

    client_id: str
    name: str
    #: SHA-256 of the client secret; None for a public application
    secret_hash: bytes | None
    #: a JSON list of `FormerSecret`
    former_secrets: str = "[]"
    #: when `secret_hash` was set; None without one
    secret_set_at: int | None = None
    #: a JSON list
    redirect_uris: str
    #: a JSON list
    post_logout_redirect_uris: str
    #: whether it receives refresh tokens
    refresh_tokens: bool
    requires_pkce: bool
    #: whether it signs in only users who showed a second factor
    requires_second_factor: bool = False
    #: whose users it signs in, a JSON list: `owners`, a domain or the id of a batch; all if empty
    audience: str
    #: where users open it; None without one
    address: str | None = None
    created_by: str
    created_at: int
    #: when a user last signed in there, to the minute: milliseconds since 1970
    used_at: int | None = None
    #: of the form that created it, which may arrive twice; None without one
    form_key: str | None = None

    @property
    def formers(self) -> list[FormerSecret]:
        """The secrets before the current one, the latest first."""
        return json.decode(self.former_secrets, type=list[FormerSecret])

    @property
    def is_public(self) -> bool:
        """Whether it has no secret, as a program in a browser."""
        return self.secret_hash is None

    @property
    def redirects(self) -> list[str]:
        """The addresses to which users are redirected with a code."""
        return json.decode(self.redirect_uris, type=list[str])

    @property
    def logout_redirects(self) -> list[str]:
        """The addresses to which users are redirected after they signed out."""
        return json.decode(self.post_logout_redirect_uris, type=list[str])

    @property
    def allowed(self) -> list[str]:
        """`owners`, domains and ids of batches: one must match a user; empty for all."""
        return json.decode(self.audience, type=list[str])


class GrantRecord(Record, frozen=True, kw_only=True):
    """What one sign-in at an application has granted: its code, and the tokens that replace it.

    All secrets are SHA-256 hashes.
    """

    grant_id: str
    client_id: str
    user_id: str
    #: the browser session that granted it; the claim `sid`
    session_id: str
    scope: str
    redirect_uri: str
    nonce: str | None
    #: (RFC 7636, 4.2); None without PKCE
    code_challenge: str | None
    #: when the user signed in
    authenticated_at: int | None
    #: what the user showed to the session: see `core.shown_methods`
    methods: str = ""
    created_at: int
    #: when the last one of its code and tokens expires, so that nothing in it works any more
    expires_at: int
    code_hash: bytes
    code_expires_at: int
    code_used: bool = False
    access_hash: bytes | None = None
    #: may be narrower than `scope`
    access_scope: str | None = None
    access_expires_at: int | None = None
    #: of the part that all refresh tokens of the grant have in common
    family_hash: bytes | None = None
    #: of the newest refresh token
    refresh_hash: bytes | None = None
    #: when the newest refresh token expires unless it is used
    refresh_expires_at: int | None = None


class PublicKeyRecord(Record, frozen=True):
    """The public part of a signing key, which every server publishes."""

    kid: str
    #: a JSON Web Key (RFC 7517)
    jwk: str
    #: when it begins to sign
    signs_from: int
    #: when it was replaced because it may be stolen: nothing that it signed is accepted any more
    revoked_at: int | None = None
