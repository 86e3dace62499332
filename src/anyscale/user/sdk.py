"""The SDK's calls about users: `anyscale.user` and `Anyscale(...).user`."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Literal

from msgspec import UNSET, UnsetType

from anyscale.batch_run.run_key import require_key
from anyscale.call_report import LOGGER, CallReport
from anyscale.config import Target, resolve
from anyscale.domain.models.base import check_type
from anyscale.domain.models.sync import SyncPlan
from anyscale.domain.models.users import (
    AdminCreateUser,
    CreatedUsers,
    Difference,
    User,
    UserChanges,
)
from anyscale.domain.schemas.users import USER_PAGE, Role
from anyscale.domain.user_query import UserQuery
from anyscale.domain.validation import Policy, require_changes
from anyscale.errors import AnyscaleError, ConfigError
from anyscale.keyword_hints import keyword_hints
from anyscale.transport import open_transport
from anyscale.transport.base import Transport
from anyscale.user.comparison.sync_planner import SyncOptions
from anyscale.user.comparison.sync_run import run_sync
from anyscale.user.comparison.verification import Verification
from anyscale.user.created_users import create_users, forget_frames
from anyscale.user.list_source import ListSource
from anyscale.user.lookup import check_sizes, find_user, list_users

__all__ = ["UserCalls", "default_calls"]


class UserCalls:
    """The calls about users, each named by `email`, in any spelling, or by `user_id`.

    Args:
        resolve_target: finds the control plane for each call, since the environment may change.
    """

    def __init__(self, resolve_target: Callable[[], Target]) -> None:
        self._resolve_target = resolve_target

    @keyword_hints
    def admin_batch_create(
        self,
        admin_create_users: Iterable[AdminCreateUser],
        *,
        idempotency_key: str | None = None,
        if_exists: Literal["fail", "skip"] = "fail",
        dry_run: bool = False,
        mail_links: bool = False,
        progress: bool | None = None,
    ) -> CreatedUsers:
        """Batch create, as an admin, users without email verification.

        Whole or nothing: it creates every user and returns a list of them, or none and raises.

        Args:
            admin_create_users: Users to be created by an admin.
            idempotency_key: 1 to 200 visible ASCII characters that the caller chooses. The same
                call with the same key resumes one that was interrupted, and returns the same
                result if it had completed.
            if_exists: For users who have an account: `fail` refuses the batch, `skip` skips them.
            dry_run: Check the users and look up their emails, and write nothing.
            mail_links: Let the server mail a link to each created user that cannot sign in yet.
            progress: Whether to show the progress of a long call: None draws a bar on a terminal
                and in a notebook; True also writes a line now and then where no bar can be drawn.

        Returns:
            A list in the order of the input, with the attributes `skipped` and `batch_id`.

        Raises:
            TypeError: an argument has a wrong type, or an element is not an `AdminCreateUser`.
            BatchRefused: entries are wrong or taken; `problems` names all of them.
            BatchUnfinished: the batch is unfinished, or its outcome is unknown; `batch_id` names
                the batch that is left open.
            AnyscaleError: see `anyscale.errors` for the others.
        """
        users = ListSource(admin_create_users)
        require_key(idempotency_key)
        if if_exists not in ("fail", "skip"):
            raise ConfigError(f"if_exists must be 'fail' or 'skip', not {if_exists!r}")
        check_type("dry_run", dry_run, bool)
        check_type("mail_links", mail_links, bool)
        check_type("progress", progress, bool, type(None))
        report = CallReport(progress)
        target = self._resolve_target()
        transport = open_transport(target, on_notice=report.warn, on_outage=report.note_outage)
        options = {"dry_run": dry_run, "mail_links": mail_links}
        try:
            with closing(transport), closing(report):
                return create_users(
                    transport, users, report, idempotency_key, if_exists=if_exists, **options
                )
        except AnyscaleError as error:
            forget_frames(error)
            raise

    @keyword_hints
    def list(
        self,
        *,
        email: str | None = None,
        name: str | None = None,
        search: str | None = None,
        suspended: bool = False,
        role: Role | None = None,
        sso: bool = False,
        without_credentials: bool = False,
        newest_first: bool = False,
        max_items: int | None = None,
        page_size: int = USER_PAGE,
    ) -> Iterator[User]:
        """List users in the order of their creation, or those that a search finds, the best first.

        Args:
            email: Only those whose email contains this, without regard to case.
            name: Only those whose name contains this, without regard to case.
            search: Words or parts of the email, the name and the last name, in any order; with `@`
                as it is written. Not with `email`, `name` or `newest_first`.
            suspended: Only those who are suspended.
            role: Only those with this role: `owner` or `collaborator`.
            sso: Only SSO users.
            without_credentials: Only those who cannot sign in yet: with neither a password nor, if
                the control plane has an identity provider, SSO.
            newest_first: In the reverse order.
            max_items: At most this many.
            page_size: Users per request.

        Raises:
            TypeError: an argument has a wrong type. As with all errors, at the first iteration.
            ConfigError: an argument has a wrong value, such as a search with more than 256
                characters or 24 words.
            RequestInvalid: the control plane was updated during the list: list again.
        """
        check_sizes(max_items, page_size)
        query = UserQuery(
            email=email,
            name=name,
            search=search,
            suspended=suspended,
            role=role,
            sso=sso,
            without_credentials=without_credentials,
            newest_first=newest_first,
        )
        with closing(self._open()) as transport:
            yield from list_users(transport, query, max_items, page_size)

    @keyword_hints
    def get(
        self, *, email: str | None = None, name: str | None = None, user_id: str | None = None
    ) -> User:
        """Get one user.

        Args:
            email: The user's email, in any spelling of the same address.
            name: The user's name, exactly.
            user_id: `usr_...`

        Raises:
            NotFound: no user matches.
            UserAmbiguous: several users have the name; `emails` lists them.
            ConfigError: none or several of them are set.
        """
        with closing(self._open()) as transport:
            return find_user(transport, email=email, name=name, user_id=user_id)

    @keyword_hints
    def verify(
        self, admin_create_users: Iterable[AdminCreateUser], *, same_person: Iterable[str] = ()
    ) -> Iterator[Difference]:
        """Compare all fields of users but the password with those of their accounts.

        The external id of an `AdminImportUser` decides whose account it is: its other email is a
        difference then.

        Args:
            admin_create_users: Users as they should be.
            same_person: External ids of users whose accounts have other emails and names, or are
                suspended, and are theirs all the same.

        Raises:
            TypeError: an element is not an `AdminCreateUser`. All other errors come at the first
                iteration.
            BatchRefused: entries are wrong; nothing was compared.
        """
        return self._differences(ListSource(admin_create_users), frozenset(same_person))

    def _differences(self, users: ListSource, same_person: frozenset[str]) -> Iterator[Difference]:
        with closing(self._open()) as transport:
            yield from Verification(transport, users, same_person=same_person).differences()

    @keyword_hints
    def sync(
        self,
        admin_create_users: Iterable[AdminCreateUser],
        *,
        create: bool = True,
        correct: bool = True,
        suspend_missing: bool = True,
        restore: bool = False,
        at_most_create: int | None = None,
        at_most_correct: int | None = None,
        at_most_suspend: int | None = None,
        they_differ: Iterable[str] = (),
        same_person: Iterable[str] = (),
        dry_run: bool = False,
    ) -> SyncPlan:
        """Bring the accounts up to date with a list of all users; passwords are not set.

        Args:
            admin_create_users: Everybody who is to have an account.
            create: Create the accounts of new users.
            correct: Correct the accounts that differ. Those of owners stay as they are.
            suspend_missing: Suspend the users who are not in the list, but no owner.
            restore: Restore the users in the list that an earlier sync suspended.
            at_most_create: Change nothing if it would create more accounts.
            at_most_correct: The same of accounts to correct. Without it, more changed emails than
                50, or than a tenth of the accounts if that is more, stop the sync.
            at_most_suspend: The same of accounts to suspend.
            they_differ: Emails of users who look like one who left, and are two people.
            same_person: External ids of users whose accounts have other emails and names, or are
                suspended, and are theirs all the same.
            dry_run: Only plan.

        Returns:
            The plan. `done` has what was done, and what was left since it has changed.

        Raises:
            TypeError: an element is not an `AdminCreateUser`.
            BatchRefused: entries are wrong; nothing was changed.
            SyncStopped: a limit or a question stopped it; nothing was changed.
            BatchUnfinished: something failed on the way: make the same call again.
        """
        users = ListSource(admin_create_users)
        check_type("dry_run", dry_run, bool)
        options = SyncOptions(
            create=create,
            correct=correct,
            suspend_missing=suspend_missing,
            restore=restore,
            at_most_create=at_most_create,
            at_most_correct=at_most_correct,
            at_most_suspend=at_most_suspend,
            they_differ=frozenset(they_differ),
            same_person=frozenset(same_person),
        )
        with closing(self._open()) as transport:
            return run_sync(transport, users, options, dry_run=dry_run)

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

        Returns the account with its new fields.

        Raises:
            TypeError: an argument has a wrong type.
            ConfigError: a value breaks the rules of a users file, or there is none.
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
    def suspend(self, *, email: str | None = None, user_id: str | None = None) -> None:
        """Suspend an account: it cannot sign in, its sessions end and its tokens stop.

        Raises:
            NotFound: there is no such user.
            LastOwner: the account is the last owner.
        """
        with self._account(email, user_id) as (transport, user):
            transport.users.suspend(user.user_id)

    @keyword_hints
    def restore(self, *, email: str | None = None, user_id: str | None = None) -> None:
        """Let a suspended account sign in again.

        Raises:
            NotFound: there is no such user.
        """
        with self._account(email, user_id) as (transport, user):
            transport.users.restore(user.user_id)

    @keyword_hints
    def delete(self, *, email: str | None = None, user_id: str | None = None) -> None:
        """Delete an account and erase all data of its user. This cannot be undone.

        Raises:
            NotFound: there is no such user.
            LastOwner: the account is the last owner.
        """
        with self._account(email, user_id) as (transport, user):
            transport.users.delete(user.user_id)

    @keyword_hints
    def set_role(
        self,
        *,
        email: str | None = None,
        role: Literal["owner", "collaborator"],
        user_id: str | None = None,
    ) -> None:
        """Make an account an owner or a collaborator; its sessions are revoked.

        Raises:
            NotFound: there is no such user.
            LastOwner: the account is the last owner.
        """
        if role not in ("owner", "collaborator"):
            raise ConfigError(f"role must be 'owner' or 'collaborator', not {role!r}")
        with self._account(email, user_id) as (transport, user):
            transport.users.set_role(user.user_id, role)

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


#: The calls on the control plane that the environment names at the time of each call.
default_calls: UserCalls = UserCalls(lambda: resolve(None, None))
