"""Accounts, sign-in, tokens and the audit log: a part of `interface.Transaction`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from anyscale.server.store.records import (
    AccountRecord,
    AuditRecord,
    LinkRecord,
    SessionRecord,
    TokenRecord,
)

__all__ = ["Accounts", "Audit", "Devices", "Identities", "Links", "Sessions", "Tokens"]


class Accounts(Protocol):
    """The users of published batches, one by one."""

    def get(self, user_id: str) -> AccountRecord | None:
        """Return the account with an id."""

    def find(self, email_key: str) -> AccountRecord | None:
        """Return the account with an email."""

    def lock(self, user_ids: Collection[str]) -> Mapping[str, AccountRecord]:
        """Lock accounts in the order of their ids, and return those that exist, by id.

        Lock an account before changing it or any other row of it.
        """

    def lock_owners(self) -> Sequence[str]:
        """Lock the owners; return the ids of those that are not suspended, in order."""

    def set_password(self, user_id: str, password_hash: str, at: int | None) -> None:
        """Replace the password hash.

        Args:
            user_id: of the account.
            password_hash: the new hash.
            at: when the user chose the password; None leaves that time as it is.
        """

    def mark_used(self, user_id: str, at: int) -> None:
        """Set when an account was first used; a later time is ignored."""

    def set_suspended(self, user_id: str, at: int | None) -> None:
        """Set since when an account is suspended; None restores it."""

    def set_role(self, user_id: str, permission_level: str) -> None:
        """Make an account an `owner` or a `collaborator`."""

    def delete(self, user_id: str) -> None:
        """Delete an account with its sessions, links, identities, devices and tokens.

        In conflicts of batches its email, in any spelling, becomes an empty text.
        """


class Sessions(Protocol):
    """Signed-in browsers."""

    def add(self, session: SessionRecord) -> None:
        """Insert a session."""

    def get(self, session_hash: bytes) -> SessionRecord | None:
        """Return the session with a hash."""

    def find(self, session_hash: bytes) -> tuple[SessionRecord, AccountRecord] | None:
        """Return the session with a hash together with its account, by one query."""

    def list(self, user_id: str) -> Sequence[SessionRecord]:
        """Return the sessions of an account, the latest first."""

    def touch(self, session_id: str, at: int) -> None:
        """Set when a session was last used, unless another transaction has it locked."""

    def delete(self, user_id: str, *, only: str = "", keep: str = "") -> int:
        """Delete sessions of an account; return how many.

        Args:
            user_id: of the account.
            only: the `session_id` of the one to delete; empty for all.
            keep: the `session_id` of one that stays; empty for none.
        """

    def purge(self, unused_since: int, now: int) -> None:
        """Delete the sessions last used before a time, or expired. Locked ones stay for now."""


class Devices(Protocol):
    """Browsers that have signed in to an account before."""

    def save(self, device_hash: bytes, user_id: str, at: int) -> None:
        """Set when a browser last signed in to an account."""

    def is_known(self, device_hash: bytes, user_id: str, since: int) -> bool:
        """Whether a browser has signed in to an account since a time."""

    def delete(self, user_id: str) -> None:
        """Delete the browsers of an account."""

    def purge(self, unused_since: int) -> None:
        """Delete the browsers that last signed in before a time. Locked ones stay for now."""


class Links(Protocol):
    """One-time links to set a password; one for each account."""

    def replace(self, link: LinkRecord) -> None:
        """Insert the link of an account in place of its previous one."""

    def get(self, link_hash: bytes) -> LinkRecord | None:
        """Return the link with a hash."""

    def consume(self, link_hash: bytes) -> LinkRecord | None:
        """Delete the link with a hash and return it; of several callers only one gets it."""

    def delete(self, *, user_id: str = "", by: str = "") -> None:
        """Delete the link of an account, or the links that an actor created, or both.

        Args:
            user_id: of the account.
            by: the actor, as the audit log names it.
        """

    def purge(self, now: int) -> None:
        """Delete the links that have expired. Locked ones stay for now."""


class Identities(Protocol):
    """The subjects of identity providers that are linked to accounts."""

    def link(self, issuer: str, subject: str, user_id: str, at: int) -> bool:
        """Link a subject of an issuer to an account; return False if either has a link."""

    def find(self, issuer: str, subject: str) -> str | None:
        """Return the `user_id` of the account to which a subject of an issuer is linked."""


class Tokens(Protocol):
    """API tokens."""

    def add(self, token: TokenRecord) -> bool:
        """Insert a token; return False if its name is in use."""

    def get(self, token_hash: bytes) -> TokenRecord | None:
        """Return the token with a hash."""

    def find(self, token_id: str) -> TokenRecord | None:
        """Return the token with an id."""

    def find_named(self, name: str) -> TokenRecord | None:
        """Return the token with a name that is not revoked and has no owner."""

    def exists(self) -> bool:
        """Whether any token was ever created."""

    def list(self) -> Sequence[TokenRecord]:
        """Return all tokens by `token_id`, personal ones with the role of their owner."""

    def list_personal(self, user_id: str) -> Sequence[TokenRecord]:
        """Return the tokens of a user by `token_id`, with the role of the user."""

    def touch(self, token_id: str, at: int) -> None:
        """Set when a token was last used, unless another transaction has it locked."""

    def revoke(self, token_id: str, by: str, at: int) -> None:
        """Revoke a token that is not revoked."""


class Audit(Protocol):
    """The audit log."""

    def lock(self) -> AuditRecord | None:
        """Lock the audit log until the transaction ends, and return its last entry."""

    def get_last(self) -> AuditRecord | None:
        """Return the last entry."""

    def add(self, *entries: AuditRecord) -> None:
        """Append entries by one statement, after `lock`."""

    def list(self, after: int, limit: int) -> Sequence[AuditRecord]:
        """Return entries after a number, by number."""

    def purge(self, before: int) -> int:
        """Delete the entries before a time, except the last of them, to which later ones chain.

        Returns:
            The number of the entry that is now the first one, or 0 if nothing was deleted.
        """
