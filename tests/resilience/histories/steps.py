"""What a client does in a history: one call, or a sync."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from anyscale.comparison.sync_options import SyncOptions
from anyscale.domain.models.users import EmailChange

#: The fields of a user that a file or a list has. A field that is missing says nothing.
Entry = Mapping[str, str | None]


class Create(NamedTuple):
    """A batch, whole or nothing."""

    entries: Sequence[Entry]
    if_exists: str


class Reserve(NamedTuple):
    """A batch that is left open, with the entries that are free."""

    entries: Sequence[Entry]


class Finish(NamedTuple):
    """The end of an open batch: its users become accounts, or are dropped."""

    batch: str
    publish: bool
    users: int


class Update(NamedTuple):
    """Other fields of an account, also the email."""

    user_id: str
    changes: Entry
    reuse_email: bool


class ChangeEmails(NamedTuple):
    """Other emails of several accounts at one moment."""

    changes: Sequence[EmailChange]


class Suspend(NamedTuple):
    """By hand."""

    user_id: str


class Restore(NamedTuple):
    """By hand."""

    user_id: str


class SetRole(NamedTuple):
    """Another role of an account."""

    user_id: str
    is_owner: bool


class Delete(NamedTuple):
    """The end of an account."""

    user_id: str


class Undo(NamedTuple):
    """The end of the accounts of a batch."""

    batch: str
    force: bool


class Sync(NamedTuple):
    """A sync with a file of everybody."""

    entries: Sequence[Entry]
    options: SyncOptions


Step = (
    Create
    | Reserve
    | Finish
    | Update
    | ChangeEmails
    | Suspend
    | Restore
    | SetRole
    | Delete
    | Undo
    | Sync
)
