"""The calls of a control plane that comparing needs: of a transport, or of a server's own."""

from collections.abc import Sequence
from typing import Protocol

from anyscale.batch_run.run_calls import RunCalls
from anyscale.domain.models.sync import GivenAnswer
from anyscale.domain.models.users import (
    EmailChange,
    ExpectedUser,
    UpdatedUser,
    User,
    UserChanges,
)
from anyscale.domain.schemas.users import UserPage
from anyscale.domain.user_query import UserQuery


class AccountCalls(Protocol):
    """The calls of accounts: finding, listing, and bringing them up to date."""

    def find(
        self, emails: Sequence[str], external_ids: Sequence[str] = ()
    ) -> Sequence[User | None]:
        """Return the accounts with some emails, then those with some external ids, in their order.

        None stands for no account. There are at most 10,000 emails and external ids.
        """

    def update(
        self,
        user_id: str,
        changes: UserChanges,
        expected: ExpectedUser | None = None,
        *,
        reuse_email: bool = False,
    ) -> UpdatedUser:
        """Change fields of an account, and return it.

        It is refused if a field has neither the value of `expected` nor the new one.
        With `reuse_email` the account may get an email that another one had a short time ago.
        """

    def change_emails(self, changes: Sequence[EmailChange]) -> None:
        """Change the emails of up to 1,000 accounts at one moment: they may swap theirs.

        It is refused as a whole, also if one of them is an owner's.
        """

    def answer_questions(self, answers: Sequence[GivenAnswer], *, dry_run: bool) -> list[bool]:
        """Store up to 1,000 answers to questions of a sync, and return which of them hold.

        The words of an answer hold for the first change that they were the answer to. With
        `dry_run` they are only looked up.
        """

    def suspend(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
    ) -> None:
        """Suspend an account: it cannot sign in. With `keep_owner` an owner is not suspended.

        It is refused if a field has another value than that of `expected`.
        """

    def restore(
        self,
        user_id: str,
        *,
        keep_owner: bool = False,
        by_sync: bool = False,
        expected: ExpectedUser | None = None,
    ) -> None:
        """Let a suspended account sign in again. With `keep_owner` an owner stays suspended.

        With `by_sync` it is refused if the account was not suspended so, or manually since. It is
        refused if a field has another value than that of `expected`.
        """

    def list(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        """Return a page of accounts. `cursor` is that of the previous page, empty for the first.

        A page takes a short time: an empty page whose `cursor` is not None is not the end.
        """


class ComparisonCalls(RunCalls, Protocol):
    """The control plane of a comparison."""

    @property
    def users(self) -> AccountCalls:
        """The calls of accounts."""
