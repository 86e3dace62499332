"""Tokens for codes and refresh tokens, and claims for access tokens (Core, 3.1.3 and 5.3)."""

import base64
import hashlib
import hmac
import re
from typing import Any

from msgspec import structs

from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import user_actor
from anyscale.server.core.openid.audience import is_allowed
from anyscale.server.core.openid.claims import sign_in_claims, user_claims
from anyscale.server.core.openid.protocol import (
    ACCESS_SECONDS,
    ID_TOKEN_SECONDS,
    REFRESH_MS,
    REFRESH_UNUSED_MS,
    OAuthError,
)
from anyscale.server.core.openid.signing_keys import SigningKeys
from anyscale.server.core.secrets import SensitiveStruct, hash_of, new_secret
from anyscale.server.core.time_units import MINUTE_MS, SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.openid import ApplicationRecord, GrantRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # (RFC 7636, 4.1)

#: `mrr_`, the part that all refresh tokens of a grant have in common, and the part of this one
_REFRESH_TOKEN = re.compile(r"mrr_([A-Za-z0-9_-]{43})[A-Za-z0-9_-]{43}")


#: milliseconds while a repeated refresh of a confidential application has the same result
_REPEATED_MS = MINUTE_MS


class IssuedTokens(SensitiveStruct, frozen=True):
    """The response of the token endpoint (Core, 3.1.3.3)."""

    access_token: str
    #: seconds
    expires_in: int
    id_token: str
    scope: str
    refresh_token: str | None


class _Locked(SensitiveStruct, frozen=True):
    """A grant with its account and its application, as they are until the transaction ends."""

    grant: GrantRecord
    account: AccountRecord
    application: ApplicationRecord


class _Secrets(SensitiveStruct, frozen=True):
    """The new tokens of a grant, before its ID token is signed."""

    grant: GrantRecord
    account: AccountRecord
    access_token: str
    expires_in: int
    refresh_token: str | None
    #: of the ID token; None in that of a refresh
    nonce: str | None = None


class GrantTokens:
    """Issues and revokes the tokens of applications, and returns the claims of their users."""

    def __init__(self, transactions: Transactions, keys: SigningKeys, issuer: str) -> None:
        self._transactions = transactions
        self._keys = keys
        self._issuer = issuer

    def exchange(
        self, application: ApplicationRecord, code: str, redirect_uri: str, verifier: str
    ) -> IssuedTokens:
        """Exchange a code, once (RFC 6749, 4.1.3). A second use revokes its grant.

        Raises:
            OAuthError: `invalid_grant`.
        """
        with self._transactions.write_unattended("application") as tx:
            grant = tx.grants.by_code(hash_of(code))
            secrets = None
            if locked := _lock(tx, application, grant):
                if _is_redeemable(tx, locked.grant, redirect_uri, verifier):
                    secrets = _exchanged(tx, locked)
                else:
                    _revoke(tx, locked.grant, "code_refused")
        return self._signed(secrets)

    def refresh(
        self, application: ApplicationRecord, refresh_token: str, scope: str | None
    ) -> IssuedTokens:
        """Issue new tokens for a refresh token (RFC 6749, 6).

        That of a public application is replaced, and one that was replaced before ends the grant
        (RFC 9700, 2.2.2). A confidential one proves itself by its secret and keeps its token, so
        that a response that was lost and two calls at once end no sign-in. `scope` narrows the
        scope of only the new access token.

        Raises:
            OAuthError: `invalid_grant`, or `invalid_scope`.
        """
        parts = _REFRESH_TOKEN.fullmatch(refresh_token)
        with self._transactions.write_unattended("application") as tx:
            grant = tx.grants.by_family(hash_of(parts[1])) if parts else None
            secrets = None
            if locked := _lock(tx, application, grant):
                if _is_refreshable(tx, locked, refresh_token):
                    narrowed = _narrowed(locked.grant.scope, scope)
                    secrets = _refreshed(tx, locked, refresh_token, narrowed)
                else:
                    _revoke(tx, locked.grant, "refresh_token_refused")
        return self._signed(secrets)

    def user_claims(self, access_token: str) -> dict[str, Any] | None:
        """Return the claims of a user for an access token; None if it is not valid (Core, 5.3)."""
        with self._transactions.read() as tx:
            grant = tx.grants.by_access_token(hash_of(access_token))
            if grant is None or (grant.access_expires_at or 0) <= tx.now():
                return None
            application = tx.applications.get(grant.client_id)
            account = tx.accounts.get(grant.user_id)
            if not application or not account or account.suspended_at is not None:
                return None
            if not is_allowed(tx, application, account):
                return None
        claims = user_claims(account, grant.access_scope or "")
        return claims | sign_in_claims(grant.methods)

    def revoke(self, application: ApplicationRecord, token: str) -> None:
        """Revoke a token with all tokens of its grant (RFC 7009, 2.1); ignore an unknown one."""
        parts = _REFRESH_TOKEN.fullmatch(token)
        with self._transactions.write_unattended("application") as tx:
            grants = tx.grants
            grant = (
                grants.by_family(hash_of(parts[1]))
                if parts
                else grants.by_access_token(hash_of(token))
            )
            if grant and grant.client_id == application.client_id:
                tx.accounts.lock([grant.user_id])
                if tx.grants.lock(grant.grant_id):  # else another call has ended it
                    _revoke(tx, grant, "application")

    def _signed(self, secrets: _Secrets | None) -> IssuedTokens:
        """Sign the ID token, outside the transaction."""
        if secrets is None:
            raise OAuthError("invalid_grant", "it is unknown, expired, was used or revoked")
        grant = secrets.grant
        return IssuedTokens(
            access_token=secrets.access_token,
            expires_in=secrets.expires_in,
            id_token=self._keys.sign(self._id_token_claims(secrets)),
            scope=grant.access_scope or "",
            refresh_token=secrets.refresh_token,
        )

    def _id_token_claims(self, secrets: _Secrets) -> dict[str, Any]:
        """Return the claims of an ID token (Core, 2 and 12.2)."""
        grant = secrets.grant
        now = (grant.access_expires_at or 0) // SECOND_MS - ACCESS_SECONDS
        half = hashlib.sha256(secrets.access_token.encode()).digest()[:16]
        at_hash = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
        claims = {
            "iss": self._issuer,
            "aud": grant.client_id,
            "iat": now,
            "exp": now + ID_TOKEN_SECONDS,
            "sid": grant.session_id,
            "at_hash": at_hash,
        }
        if grant.authenticated_at is not None:
            claims["auth_time"] = grant.authenticated_at // SECOND_MS
        if secrets.nonce is not None:
            claims["nonce"] = secrets.nonce
        claims |= sign_in_claims(grant.methods)
        return claims | user_claims(secrets.account, grant.scope)


def _lock(
    tx: Transaction, application: ApplicationRecord, found: GrantRecord | None
) -> _Locked | None:
    """Lock a grant after its account and its application; None if its user may not use it now."""
    # Another application's attempt changes nothing.
    if found is None or found.client_id != application.client_id:
        return None
    account = tx.accounts.lock([found.user_id]).get(found.user_id)
    # It may have changed since it has authenticated.
    current = tx.applications.lock(found.client_id, exclusive=False)
    grant = tx.grants.lock(found.grant_id)
    if not grant or not current or not account or account.suspended_at is not None:
        return None
    return _Locked(grant, account, current) if is_allowed(tx, current, account) else None


def _is_redeemable(tx: Transaction, grant: GrantRecord, redirect_uri: str, verifier: str) -> bool:
    return (
        not grant.code_used
        and tx.now() < grant.code_expires_at
        and redirect_uri == grant.redirect_uri
        and _is_verified(grant.code_challenge, verifier)
    )


def _is_verified(challenge: str | None, verifier: str) -> bool:
    """Check the proof of PKCE (RFC 7636, 4.6); one without a challenge is refused."""
    if challenge is None:
        return not verifier
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    is_valid = _VERIFIER.fullmatch(verifier) is not None
    return is_valid and hmac.compare_digest(digest.rstrip(b"=").decode(), challenge)


def _is_refreshable(tx: Transaction, locked: _Locked, refresh_token: str) -> bool:
    grant = locked.grant
    is_newest = hmac.compare_digest(grant.refresh_hash or b"", hash_of(refresh_token))
    is_live = tx.now() < (grant.refresh_expires_at or 0)
    return locked.application.refresh_tokens and is_newest and is_live


def _narrowed(granted: str, scope: str | None) -> str:
    if scope is None:
        return granted
    scopes = list(dict.fromkeys(scope.split()))
    if not scopes or set(scopes) - set(granted.split()):
        raise OAuthError("invalid_scope", "the scope is empty, or wider than the granted one")
    return " ".join(scopes)


def _exchanged(tx: Transaction, locked: _Locked) -> _Secrets:
    """Create the first tokens of a locked grant."""
    refresh = _new_refresh_token() if locked.application.refresh_tokens else None
    grant = structs.replace(locked.grant, code_used=True)
    issued = _issue(tx, structs.replace(locked, grant=grant), grant.scope, refresh)
    return structs.replace(issued, nonce=grant.nonce)


def _refreshed(tx: Transaction, locked: _Locked, refresh_token: str, scope: str) -> _Secrets:
    """Create the next tokens of a locked grant, or repeat those of a moment ago."""
    if locked.application.is_public:
        return _issue(tx, locked, scope, _new_refresh_token(_family(refresh_token)))
    grant, now = locked.grant, tx.now()
    expires_at = grant.access_expires_at or 0
    access = _derived_access_token(locked.application, refresh_token, expires_at)
    is_repeated = hash_of(access) == grant.access_hash and scope == grant.access_scope
    if is_repeated and now < expires_at - ACCESS_SECONDS * SECOND_MS + _REPEATED_MS:
        left = (expires_at - now) // SECOND_MS
        return _Secrets(grant, locked.account, access, left, refresh_token)
    return _issue(tx, locked, scope, refresh_token)


def _issue(tx: Transaction, locked: _Locked, scope: str, refresh: str | None) -> _Secrets:
    """Create a new access token of a locked grant, and store it with the refresh token."""
    grant, now = locked.grant, tx.now()
    expires_at = now + ACCESS_SECONDS * SECOND_MS
    is_first = grant.access_hash is None
    access = (
        f"mra_{new_secret()}"
        if is_first or not refresh or locked.application.is_public
        else _derived_access_token(locked.application, refresh, expires_at)
    )
    refresh_until = min(now + REFRESH_UNUSED_MS, grant.created_at + REFRESH_MS)
    changed = structs.replace(
        grant,
        expires_at=max(expires_at, refresh_until) if refresh else expires_at,
        access_hash=hash_of(access),
        access_scope=scope,
        access_expires_at=expires_at,
        family_hash=hash_of(_family(refresh)) if refresh else None,
        refresh_hash=hash_of(refresh) if refresh else None,
        refresh_expires_at=refresh_until if refresh else None,
    )
    tx.grants.replace(changed)
    return _Secrets(changed, locked.account, access, ACCESS_SECONDS, refresh)


def _new_refresh_token(family: str = "") -> str:
    return f"mrr_{family or new_secret()}{new_secret()}"


def _family(refresh_token: str) -> str:
    """Return the part that all refresh tokens of a grant have in common."""
    parts = _REFRESH_TOKEN.fullmatch(refresh_token)
    assert parts
    return parts[1]


def _derived_access_token(
    application: ApplicationRecord, refresh_token: str, expires_at: int
) -> str:
    """Return the access token of a refresh: the same one, if the refresh is repeated.

    Only the application itself can compute it: the hash of its secret is the key, since a refresh
    token that was stolen works for nobody else (RFC 6749, 6). The database has only the hash of the
    refresh token.
    """
    content = f"{refresh_token} {expires_at}".encode()
    mac = hmac.digest(application.secret_hash or b"", content, "sha256")
    return f"mra_{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _revoke(tx: Transaction, grant: GrantRecord, reason: str) -> None:
    tx.grants.delete(grant.grant_id)
    data = {"client_id": grant.client_id, "reason": reason}
    append_entry(tx, user_actor(grant.user_id), "authorization.revoked", grant.grant_id, data)
