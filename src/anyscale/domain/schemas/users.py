"""The bodies of the requests and responses of users."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from anyscale.domain.models.sync import GivenAnswer
from anyscale.domain.models.users import EmailChange, ExpectedUser, PasswordLink, User, UserChanges

Role = Literal["owner", "collaborator"]


class FindUsers(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The emails and the external ids of accounts to find."""

    emails: list[str] = []
    external_ids: list[str] = []


class FoundUsers(Struct, frozen=True):
    """The accounts with the emails, then those with the external ids; null where there is none."""

    users: list[User | None]


#: Accounts of a page, at most. A request takes as long as some 300 accounts, so that the control
#: plane lists all of them in a fifth less time than in pages of 1,000.
USER_PAGE = 5_000


class UserPage(Struct, frozen=True):
    """A page of accounts."""

    users: list[User]
    #: Where the next page begins; null if there is none. An empty page may have one: the search
    #: for its users took too long.
    cursor: str | None
    #: How many accounts were not in the index of words when the first page was read. A search finds
    #: them last. Absent in lists.
    unindexed: int | UnsetType = UNSET


class UserList(Struct, frozen=True):
    """Accounts; the last `user_id` is the `after` of the next call."""

    users: list[User]


class UserUpdate(UserChanges, frozen=True, gc=False, forbid_unknown_fields=True):
    """New values of fields of an account, and what the account must be before."""

    expected: ExpectedUser | UnsetType = UNSET
    #: Give the account an email that another account had less than 30 days ago.
    reuse_email: bool = False


#: accounts whose emails one call changes
MAX_EMAIL_CHANGES = 1_000


class EmailChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """The new emails of accounts, which may swap theirs."""

    changes: Annotated[list[EmailChange], Meta(max_length=MAX_EMAIL_CHANGES)]


class Suspension(Struct, frozen=True, forbid_unknown_fields=True):
    """How an account is to be suspended."""

    #: A sync suspends it, and another one may restore it.
    by_sync: bool = False
    #: what the account must be
    expected: ExpectedUser | UnsetType = UNSET
    #: Links that the user created for others stay, if nobody has used them.
    keep_links: bool = False


class Restoration(Struct, frozen=True, forbid_unknown_fields=True):
    """How an account is to be restored."""

    #: Only if a sync suspended it, and nobody manually since then.
    by_sync: bool = False
    #: what the account must be
    expected: ExpectedUser | UnsetType = UNSET


class SecondFactorReset(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the second factors of an account are removed."""

    #: for the audit log, which keeps it
    reason: str


class RemovedFactors(Struct, frozen=True):
    """How many second factors of an account were removed."""

    removed: int


class RoleSet(Struct, frozen=True, forbid_unknown_fields=True):
    """The new role of an account."""

    role: Role
    #: Links that the user created for others stay, if nobody has used them.
    keep_links: bool = False


UserIds = list[Annotated[str, Meta(pattern="^usr_[0-9a-f]+$", max_length=64)]]


class SetPasswordLinks(Struct, frozen=True, forbid_unknown_fields=True):
    """The accounts for which links are to be created."""

    user_ids: UserIds


class PasswordLinks(Struct, frozen=True):
    """The links that were created."""

    links: list[PasswordLink]


#: answers of one call
MAX_ANSWERS = 1_000


class SyncAnswers(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Answers to the questions of a sync."""

    answers: Annotated[list[GivenAnswer], Meta(max_length=MAX_ANSWERS)]
    #: Whether they are only looked up.
    dry_run: bool = False


class AnswersThatHold(Struct, frozen=True):
    """Which answers hold, in the order of the request."""

    hold: list[bool]
