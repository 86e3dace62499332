"""The record of tokens."""

from anyscale.server.store.records.record import Record


class TokenRecord(Record, frozen=True):
    """An API token. Only its hash is stored."""

    token_id: str
    name: str
    #: `owner` or `reader`; of a personal token, the role that its user had when it was created
    role: str
    #: SHA-256 of the token
    hash: bytes
    created_by: str
    created_at: int
    expires_at: int | None = None
    used_at: int | None = None
    revoked_by: str | None = None
    revoked_at: int | None = None
    #: The owner of a personal token, whose role it has at each call; None for any other token.
    user_id: str | None = None
    #: of the form that created it, which may arrive twice; None without one
    form_key: str | None = None
