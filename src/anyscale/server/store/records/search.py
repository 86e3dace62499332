"""Which accounts to list, and the records of the index of words.

All times are whole milliseconds since 1970, UTC.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from anyscale.server.store.records.record import Record
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.user_ids import position_of

#: How a user can sign in to an account, the first of these that is true: it is suspended; it has a
#: password; by SSO; a link to set a password is open; no user can.
SignIn = Literal["suspended", "password", "sso", "link", "none"]


class Filters(Struct, frozen=True):
    """Which accounts to read; each field that is set leaves fewer of them."""

    #: a folded part of the email, as it is shown or as its key is
    email: str = ""
    #: a folded part of the name
    name: str = ""
    suspended: bool = False
    #: `owner` or `collaborator`
    role: str = ""
    #: only SSO users
    sso: bool = False
    #: only accounts to which no user can sign in
    without_credentials: bool = False
    #: only accounts whose users can sign in without a second factor
    without_second_factor: bool = False
    #: only accounts without a sign-in at this time and since; None for any
    not_since: int | None = None
    #: one of `SignIn`; empty for any
    sign_in: str = ""
    #: only accounts of this batch; empty for any
    batch_id: str = ""


class Scan(Struct, frozen=True):
    """Which accounts to read, and in which order."""

    filters: Filters = Filters()
    #: folded texts that the account has, each of them in its email, its name or its last name
    parts: Sequence[str] = ()
    newest_first: bool = False


class IndexPlace(NamedTuple):
    """A place in the order of the index of words: that of publishing, then that in the batch."""

    publication: int
    position: int


class FoundUserRecord(UserRecord, frozen=True, gc=False):
    """An account as a search looks at it."""

    email_key: str
    publication: int
    #: whether no user can sign in to it
    without_credentials: bool
    #: whether its user can sign in without a second factor
    without_second_factor: bool
    sign_in: SignIn

    @property
    def place(self) -> IndexPlace:
        return IndexPlace(self.publication, position_of(self.user_id))


class SkippedRecord(UserRecord, frozen=True, gc=False):
    """An account for which a batch has skipped an entry."""

    #: of the entry
    position: int
    sign_in: SignIn


class AccountTextsRecord(Record, frozen=True, gc=False):
    """The texts of an account that have its words."""

    publication: int
    user_id: str
    name: str
    lastname: str | None
    email: str

    @property
    def place(self) -> IndexPlace:
        return IndexPlace(self.publication, position_of(self.user_id))


class DeletedAccountRecord(AccountTextsRecord, frozen=True, gc=False):
    """An account that was deleted."""

    email_key: str
    external_id: str | None


class SearchIndexRecord(Record, frozen=True):
    """How far the index of words is filled, and which program fills it."""

    publication: int
    position: int
    #: a random name of the program that fills the index; empty if none may
    holder: str
    #: when another program may fill it
    until: int
    end_publication: int
    end_position: int

    @property
    def watermark(self) -> IndexPlace:
        """The place of the last account that has its words."""
        return IndexPlace(self.publication, self.position)

    @property
    def end(self) -> IndexPlace:
        """The place of the last account that may have some of its words."""
        return max(self.watermark, IndexPlace(self.end_publication, self.end_position))


class FoundWord(NamedTuple):
    """A word of an account."""

    word: str
    publication: int
    position: int
    #: None if the account is beyond the watermark of the search
    user: FoundUserRecord | None
