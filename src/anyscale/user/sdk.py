"""The SDK's calls about users: `anyscale.user` and `Anyscale(...).user`."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import date
from os import PathLike, fspath
from typing import TYPE_CHECKING, Literal

from anyscale.batch_run.run_key import require_key
from anyscale.call_report import CallReport
from anyscale.comparison.list_users import list_users
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_run import run_sync
from anyscale.comparison.verification import Verification
from anyscale.config import resolve
from anyscale.domain.labels import checked_label
from anyscale.domain.models.base import check_type
from anyscale.domain.models.sync import SyncPlan
from anyscale.domain.models.users import (
    AdminCreateUser,
    CreatedUsers,
    Difference,
    User,
)
from anyscale.domain.schemas.users import USER_PAGE, Role
from anyscale.domain.user_query import UserQuery
from anyscale.domain.user_sources import UserSource
from anyscale.errors import AnyscaleError, ConfigError
from anyscale.frames import forget_frames
from anyscale.keyword_hints import keyword_hints
from anyscale.transport import open_transport
from anyscale.user.account_calls import AccountCalls
from anyscale.user.created_users import create_users
from anyscale.user.list_source import source_of
from anyscale.user.lookup import check_sizes, find_user

if TYPE_CHECKING:
    from anyscale.users_file import UsersFile


class UserCalls(AccountCalls):
    """The calls about users."""

    @keyword_hints
    def admin_batch_create(
        self,
        admin_create_users: Iterable[AdminCreateUser] | UserSource,
        *,
        idempotency_key: str | None = None,
        if_exists: Literal["fail", "skip"] = "fail",
        label: str | None = None,
        dry_run: bool = False,
        mail_links: bool = False,
        accept_weak_hashes: bool = False,
        progress: bool | None = None,
    ) -> CreatedUsers:
        """Batch create, as an admin, users without email verification.

        Whole or nothing: it creates every user and returns a list of them, or none and raises.

        Args:
            admin_create_users: Users to be created by an admin, or an opened `users_file`.
            idempotency_key: 1 to 200 visible ASCII characters. The same call with the same key
                resumes one that was interrupted, and returns the same result if it had completed.
            if_exists: For users who have an account: `fail` refuses the batch, `skip` skips them.
            label: How people recognize the batch in lists. Default: the name of a `users_file`.
            dry_run: Check the users and look up their emails, and write nothing.
            mail_links: Let the server mail a link to each created user that cannot sign in yet.
            accept_weak_hashes: Import weak hashes of passwords too, wrapped in Argon2id.
            progress: Whether to show the progress of a long call. None draws a bar on a terminal
                and in a notebook; True also writes a line now and then elsewhere.

        Returns:
            A list in the order of the input, with the attributes `skipped` and `batch_id`.

        Raises:
            TypeError: an argument has a wrong type, or an element is not an `AdminCreateUser`.
            BatchRefused: entries are wrong or taken; `problems` names all of them.
            BatchUnfinished: the batch is unfinished, or its outcome is unknown; `batch_id` names
                the batch that is left open.
            AnyscaleError: see `anyscale.errors` for the others.
        """
        users = source_of(admin_create_users)
        require_key(idempotency_key)
        if if_exists not in ("fail", "skip"):
            raise ConfigError(f"if_exists must be 'fail' or 'skip', not {if_exists!r}")
        check_type("label", label, str, type(None))
        checked_label(label)
        check_type("dry_run", dry_run, bool)
        check_type("mail_links", mail_links, bool)
        check_type("accept_weak_hashes", accept_weak_hashes, bool)
        check_type("progress", progress, bool, type(None))
        report = CallReport(progress)
        target = self._resolve_target()
        transport = open_transport(target, on_notice=report.warn, on_outage=report.note_outage)
        try:
            with closing(transport), closing(report):
                return create_users(
                    transport,
                    users,
                    report,
                    idempotency_key,
                    if_exists=if_exists,
                    label=label,
                    dry_run=dry_run,
                    mail_links=mail_links,
                    accept_weak_hashes=accept_weak_hashes,
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
        without_second_factor: bool = False,
        not_since: date | None = None,
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
            without_second_factor: Only those who are not suspended and have no second factor.
            not_since: Only those who have not signed in on this day (UTC) and since, or never.
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
            without_second_factor=without_second_factor,
            not_since=not_since,
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
        self,
        admin_create_users: Iterable[AdminCreateUser] | UserSource,
        *,
        same_person: Iterable[str] = (),
    ) -> Iterator[Difference]:
        """Compare all fields of users but the password with those of their accounts.

        The external id of an `AdminImportUser` decides whose account it is: its other email is a
        difference then.

        Args:
            admin_create_users: Users as they should be, or an opened `users_file`: then the fields
                that it has are compared.
            same_person: External ids, or emails of users without one, of users whose accounts are
                theirs all the same.

        Raises:
            TypeError: an element is not an `AdminCreateUser`. All other errors come at the first
                iteration.
            BatchRefused: entries are wrong; nothing was compared.
        """
        return self._differences(source_of(admin_create_users), frozenset(same_person))

    def _differences(self, users: UserSource, same_person: frozenset[str]) -> Iterator[Difference]:
        with closing(self._open()) as transport:
            yield from Verification(transport, users, same_person=same_person).differences()

    @keyword_hints
    def sync(
        self,
        admin_create_users: Iterable[AdminCreateUser] | UserSource,
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
        renumbered: int | None = None,
        dry_run: bool = False,
    ) -> SyncPlan:
        """Bring the accounts up to date with a list of all users; passwords are not set.

        Args:
            admin_create_users: Everybody who is to have an account, or an opened `users_file`.
            create: Create the accounts of new users.
            correct: Correct the accounts that differ. Those of owners stay as they are.
            suspend_missing: Suspend the users who are not in the list, except owners.
            restore: Restore the users in the list that an earlier sync suspended.
            at_most_create: Change nothing if it would create more accounts.
            at_most_correct: The same for corrections. Without it, more accounts that get another
                name, email or external id, or lose a value or SSO, than 50, or than a tenth of the
                accounts that are not suspended if that is more, stop the sync.
            at_most_suspend: The same for suspensions, with the same default.
            they_differ: Emails of users who are other people than the accounts in `questions`.
            same_person: External ids or emails of users who are the people of these accounts. An
                answer holds for one change, and not for a later one of the same email or number.
            renumbered: How many users of `questions` have only new numbers, and are the same.
            dry_run: Only plan.

        Returns:
            The plan. `done` has what was done, and what was left because it has changed;
            `questions` has the users of whom it is not sure who they are: nothing was done to their
            accounts.

        Raises:
            TypeError: an element is not an `AdminCreateUser`.
            BatchRefused: entries are wrong; nothing was changed.
            SyncStopped: a limit stopped it; nothing was changed.
            BatchUnfinished: something failed on the way: make the same call again.
        """
        users = source_of(admin_create_users)
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
            renumbered=renumbered,
        )
        with closing(self._open()) as transport:
            return run_sync(transport, users, options, dry_run=dry_run)

    @keyword_hints
    def users_file(
        self,
        path: str | PathLike[str],
        *,
        file_format: str | None = None,
        columns: Mapping[str, str] | None = None,
        sheet: str | None = None,
        encoding: str | None = None,
    ) -> "UsersFile":
        """Open a users file, as the command reads it, for the calls that take users.

        Use it in a `with` statement, which closes it. Its problems have their places in the file.

        Args:
            path: Of a YAML, JSON, JSON Lines, CSV or Excel file, or of another system's export.
            file_format: `yaml`, `json`, `jsonl`, `csv`, `xlsx`, `ldif`, `keycloak` or `django`. By
                default, what the name ends with says it.
            columns: Of CSV and Excel: header -> field, such as `{"Rufname": "name"}`; an empty
                field leaves the column out.
            sheet: Of Excel: the name of the sheet. By default, the first visible one is read.
            encoding: Of CSV, such as `windows-1252`. By default, it is UTF-8.

        Raises:
            TypeError: an argument has a wrong type.
            ConfigError: the file cannot be opened, or an argument does not fit its format.
        """
        from anyscale.users_file import FORMATS, UsersFile
        from anyscale.users_file.tables.header import chosen_columns

        check_type("path", path, str, PathLike)
        check_type("columns", columns, Mapping, type(None))
        for name, value in (("file_format", file_format), ("sheet", sheet), ("encoding", encoding)):
            check_type(name, value, str, type(None))
        if file_format not in (None, *FORMATS):
            raise ConfigError(f"file_format must be one of {', '.join(FORMATS)}")
        chosen = chosen_columns(f"{header}={field}" for header, field in (columns or {}).items())
        file = UsersFile.open(fspath(path), file_format, chosen, sheet, encoding)
        try:
            file.require_options("file_format={!r}".format)
        except ConfigError:
            file.close()
            raise
        return file


#: The calls on the control plane that the environment names at the time of each call.
default_calls: UserCalls = UserCalls(lambda: resolve(None, None))
