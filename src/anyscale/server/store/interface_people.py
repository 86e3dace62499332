"""What can be asked about accounts and how people sign in to them: a part of `base.Transaction`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from anyscale.server.store.records import AccountRecord, LinkRecord, SessionRecord

__all__ = ["Device", "PeopleTransaction"]

#: The hash of what a browser is known by, and the `user_id` of an account.
Device = tuple[bytes, str]


class PeopleTransaction(Protocol):
    """The rules are at `base.Transaction`."""

    def account(self, *, user_id: str = "", email_key: str = "") -> AccountRecord | None:
        """Give the account with an id, or else with an email key; hold it if this may write.

        Whoever is about to change what is kept of a person holds the account first.
        """

    def accounts_with(self, email_keys: Collection[str]) -> Mapping[str, AccountRecord]:
        """Give the accounts that have one of some email keys, by that key. It holds none."""

    def hold_accounts(self, user_ids: Collection[str]) -> Mapping[str, AccountRecord]:
        """In a transaction that writes, hold accounts in the order of their ids.

        Give those that there are, by id.
        """

    def set_password(self, user_id: str, password_hash: str, at: int | None) -> None:
        """Put a hash in place of the one before.

        Args:
            user_id: whose.
            password_hash: the new one.
            at: when the member chose it; None leaves that as it is.
        """

    def suspend(self, user_id: str, at: int | None) -> None:
        """Note since when an account is suspended; None for one that is not."""

    def set_level(self, user_id: str, permission_level: str) -> None:
        """Make an account an owner's or a collaborator's."""

    def hold_owners(self) -> Sequence[str]:
        """Give the ids of the owners who are not suspended; hold them all if this may write."""

    def remove_account(self, user_id: str) -> None:
        """Remove an account, with its sessions, links, identities, devices and tokens.

        In the reports of batches its email, however it is spelled there, becomes an empty text.
        """

    def without_way_in(
        self, batch_id: str, *, sso: bool, after: str, limit: int
    ) -> Sequence[AccountRecord]:
        """Give accounts of a published batch that nobody can sign in to, by `user_id`.

        Args:
            batch_id: which batch.
            sso: whether there is an identity provider, by which SSO users come in.
            after: the `user_id` that the last page ended with, or an empty text.
            limit: how many.
        """

    def count_without_way_in(self, batch_id: str, *, sso: bool) -> int:
        """Count them."""

    def add_sessions(self, rows: Sequence[SessionRecord]) -> None:
        """Insert sessions."""

    def session(self, session_hash: bytes) -> SessionRecord | None:
        """Give the session with a hash."""

    def member(self, session_hash: bytes) -> tuple[SessionRecord, AccountRecord] | None:
        """Give the session with a hash, and whose it is, if that is an account."""

    def sessions_with(self, hashes: Collection[bytes]) -> Sequence[SessionRecord]:
        """Give the sessions that have one of some hashes."""

    def sessions(self, user_id: str) -> Sequence[SessionRecord]:
        """Give the sessions of an account, the latest first."""

    def use_session(self, session_id: str, at: int) -> None:
        """Note when a session was used, unless somebody else is noting it or ending it."""

    def end_sessions(self, user_id: str, *, only: str = "", but: str = "") -> int:
        """Remove the sessions of an account; give how many they were.

        Args:
            user_id: whose.
            only: the `session_id` of the one to remove; empty for all.
            but: the `session_id` of one that stays; empty for none.
        """

    def end_each(self, session_ids: Collection[str]) -> Collection[str]:
        """Remove sessions by their ids; give the ids of those that there were."""

    def forget_sessions(self, unused_since: int, now: int) -> None:
        """Remove sessions that are over, by either limit, and links that have expired.

        What somebody else is using or ending at that moment stays until the next time.

        Args:
            unused_since: sessions that were last used before this go.
            now: sessions and links that expire then, or did so before, go.
        """

    def forget_devices(self, unused_since: int) -> None:
        """Remove the browsers that were last signed in with before a time, but for held ones."""

    def remember_devices(self, devices: Collection[Device], at: int) -> None:
        """Note that browsers have signed in to accounts, and when they last did.

        One browser may have signed in to several accounts, each of which knows it.
        """

    def known_devices(self, devices: Collection[Device], since: int) -> Collection[Device]:
        """Say which browsers have signed in to the account beside them since a time."""

    def put_link(self, row: LinkRecord) -> None:
        """Put a link in place of the one that its account had."""

    def link(self, link_hash: bytes) -> LinkRecord | None:
        """Give the link with a hash."""

    def take_link(self, link_hash: bytes) -> LinkRecord | None:
        """Give the link with a hash, and remove it: nobody gets it twice."""

    def remove_links(self, *, user_id: str = "", by: str = "") -> None:
        """Remove the link of an account, or the links that somebody made, or both.

        Args:
            user_id: the account.
            by: who made them, as the trail names it.
        """

    def remove_devices(self, user_id: str) -> None:
        """Forget the browsers that have signed in to an account."""

    def link_identity(self, issuer: str, subject: str, user_id: str, at: int) -> bool:
        """Tie a subject of an issuer to an account; say whether neither was tied already."""

    def identified(self, issuer: str, subject: str) -> str | None:
        """Give the `user_id` of the account that a subject of an issuer is tied to."""
