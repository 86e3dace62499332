"""The SDK's calls that change one account."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Literal

from msgspec import UNSET, UnsetType

from anyscale.call_report import LOGGER
from anyscale.config import Target
from anyscale.domain.models.base import check_type
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.reasons import reason_fault
from anyscale.domain.validation import Policy, require_changes
from anyscale.errors import ConfigError
from anyscale.keyword_hints import keyword_hints
from anyscale.transport import open_transport
from anyscale.transport.base import Transport
from anyscale.user.lookup import find_user


class AccountCalls:
    """Calls that change an account, which is named by `email`, in any spelling, or by `user_id`.

    Args:
        resolve_target: finds the control plane for each call, since the environment may change.
    """

    def __init__(self, resolve_target: Callable[[], Target]) -> None:
        self._resolve_target = resolve_target

    @keyword_hints
    def update(
        self,
        *,
        email: str | None = None,
        name: str | UnsetType = UNSET,
        lastname: str | UnsetType | None = UNSET,
        title: str | UnsetType | None = UNSET,
        is_sso_user: bool | UnsetType = UNSET,
        external_id: str | UnsetType | None = UNSET,
        user_id: str | None = None,
        new_email: str | UnsetType = UNSET,
        reuse_email: bool = False,
    ) -> User:
        """Change fields of an account. Those that are not passed stay as they are.

        An account that is no longer an SSO user is unlinked from the identity provider, and its
        sessions that were created by SSO are revoked. Without a password, its user cannot sign in:
        `set_password_link` creates a link to set one.

        An account with another email is the same account: password, sessions, tokens and the linked
        identity stay, and an unused link to set a password ends. Only another owner in a browser,
        or the operator, changes the email of an owner.

        Args:
            email: The user's email.
            name: The new first name.
            lastname: The new last name; None clears it.
            title: The new title; None clears it.
            is_sso_user: Whether the user signs in by SSO.
            external_id: The new personnel number, or what else stays with the person; None clears
                it.
            user_id: `usr_...`, in place of the email.
            new_email: The new email.
            reuse_email: Whether the account may get an email that another account had less than 30
                days ago. Applications may know its former user by it.

        Returns:
            The account with its new fields.

        Raises:
            TypeError: an argument has a wrong type.
            ConfigError: a value breaks the rules of a users file, or there is no new value.
            NotFound: there is no such user.
            EmailTaken: another account or an unfinished batch has the new email.
            EmailFreed: another account had it less than 30 days ago.
            NotPermitted: the account is an owner's.
        """
        check_type("new_email", new_email, str, UnsetType)
        check_type("reuse_email", reuse_email, bool)
        changes = UserChanges(
            name=name,
            lastname=lastname,
            title=title,
            external_id=external_id,
            is_sso_user=is_sso_user,
            email=new_email,
        )
        require_changes(changes, Policy())
        with self._account(email, user_id) as (transport, user):
            users = transport.users
            return users.update(user.user_id, changes, reuse_email=reuse_email).user

    @keyword_hints
    def suspend(
        self,
        *,
        email: str | None = None,
        user_id: str | None = None,
        keep_links: bool = False,
    ) -> None:
        """Suspend an account: it cannot sign in, its sessions end and its tokens stop.

        Args:
            email: Of the user.
            user_id: Of the user, in place of the email.
            keep_links: Keep the unused links that this user created for others. They end
                otherwise: the user may have a copy of each.

        Raises:
            NotFound: there is no such user.
            LastOwner: the account is the last owner.
        """
        with self._account(email, user_id) as (transport, user):
            transport.users.suspend(user.user_id, keep_links=keep_links)

    @keyword_hints
    def restore(self, *, email: str | None = None, user_id: str | None = None) -> None:
        """Let a suspended account sign in again.

        Raises:
            NotFound: there is no such user.
        """
        with self._account(email, user_id) as (transport, user):
            transport.users.restore(user.user_id)

    @keyword_hints
    def delete(
        self,
        *,
        email: str | None = None,
        user_id: str | None = None,
        keep_links: bool = False,
    ) -> None:
        """Delete an account and erase all data of its user. This cannot be undone.

        Args:
            email: Of the user.
            user_id: Of the user, in place of the email.
            keep_links: See `suspend`.

        Raises:
            NotFound: there is no such user.
            LastOwner: the account is the last owner.
        """
        with self._account(email, user_id) as (transport, user):
            transport.users.delete(user.user_id, keep_links=keep_links)

    @keyword_hints
    def set_role(
        self,
        *,
        email: str | None = None,
        role: Literal["owner", "collaborator"],
        user_id: str | None = None,
        keep_links: bool = False,
    ) -> None:
        """Make an account an owner or a collaborator; its sessions are revoked.

        Args:
            email: Of the user.
            role: The new role.
            user_id: Of the user, in place of the email.
            keep_links: See `suspend`.

        Raises:
            NotFound: there is no such user.
            LastOwner: the account is the last owner.
        """
        if role not in ("owner", "collaborator"):
            raise ConfigError(f"role must be 'owner' or 'collaborator', not {role!r}")
        with self._account(email, user_id) as (transport, user):
            transport.users.set_role(user.user_id, role, keep_links=keep_links)

    @keyword_hints
    def reset_second_factor(
        self, *, email: str | None = None, reason: str, user_id: str | None = None
    ) -> int:
        """Remove the second factors of a user who has lost them; the sessions are revoked.

        Args:
            email: Of the user.
            reason: Why, for the audit log, which keeps it: write no names. At most 200 characters.
            user_id: Of the user, in place of the email.

        Returns:
            How many there were.

        Raises:
            NotFound: there is no such user.
            OwnerKept: the account is an owner's, or was a few days ago: the operator of the server
                removes them.
            ConfigError: the reason is blank, too long, or not text.
        """
        check_type("reason", reason, str)
        if fault := reason_fault(reason):
            raise ConfigError(fault)
        with self._account(email, user_id) as (transport, user):
            return transport.users.reset_second_factor(user.user_id, reason)

    @keyword_hints
    def set_password_link(self, *, email: str | None = None, user_id: str | None = None) -> str:
        """Create a one-time link for a user to set a password; it revokes the previous one.

        Returns:
            The link. It is enough to set the password: give it only to the user.

        Raises:
            NotFound: there is no such user.
            LinkRefused: the account is suspended, or SSO is the only sign-in method.
            ConfigError: the public URL of the control plane is not set.
        """
        with self._account(email, user_id) as (transport, user):
            return transport.links.create([user.user_id])[0].url

    def _open(self) -> Transport:
        # As warnings, which Python shows where no logging is set up: a call may take minutes.
        return open_transport(self._resolve_target(), on_notice=LOGGER.warning)

    @contextmanager
    def _account(self, email: str | None, user_id: str | None) -> Iterator[tuple[Transport, User]]:
        if (email is None) == (user_id is None):
            raise ConfigError("give either an email or a user_id")
        with closing(self._open()) as transport:
            yield transport, find_user(transport, email=email, user_id=user_id)
