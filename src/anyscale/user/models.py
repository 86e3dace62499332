"""The records that users of the SDK see, and those that both sides exchange.

This module imports nothing else of the package, so that importing the models is cheap.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from msgspec import Struct, structs

__all__ = [
    "AdminCreateUser",
    "AdminCreatedUser",
    "Batch",
    "Conflict",
    "Created",
    "PasswordLink",
    "ReservedChunk",
    "User",
    "from_milliseconds",
]


class _Record(Struct, frozen=True, gc=False):
    """An immutable record that checks the types of its fields and shows no password."""

    #: field -> the types it may have
    TYPES: ClassVar[dict[str, tuple[type, ...]]] = {}

    def __post_init__(self) -> None:
        """Check the types.

        Raises:
            TypeError: it names the field, and not the value, which may be a password.
        """
        for field, types in self.TYPES.items():
            if not isinstance(getattr(self, field), types):
                raise TypeError(_wrong_type(field, types, getattr(self, field)))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields as `repr` and rich show them: without the password."""
        fields = {field: getattr(self, field) for field in self.__struct_fields__}
        return list((fields | {"password": "***"} if fields.get("password") else fields).items())

    def __repr__(self) -> str:
        fields = ", ".join(f"{field}={value!r}" for field, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"


def _wrong_type(field: str, types: tuple[type, ...], value: object) -> str:
    wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
    return f"{field} must be {wanted}, not {type(value).__name__}"


_TEXT = (str,)
_OPTIONAL_TEXT = (str, type(None))
_OPTIONAL_TIME = (datetime, type(None))
_FLAG = (bool,)


class AdminCreateUser(_Record, frozen=True, gc=False):
    """User to be created by an admin."""

    TYPES = {
        "name": _TEXT,
        "email": _TEXT,
        "password": _OPTIONAL_TEXT,
        "is_sso_user": _FLAG,
        "lastname": _OPTIONAL_TEXT,
        "title": _OPTIONAL_TEXT,
    }

    #: First name of the user to be created.
    name: str
    #: Email of the user to be created.
    email: str
    #: Password for the account; empty or None for an account without one. `repr` hides it.
    password: str | None = None
    #: Whether the user is an SSO user. SSO users can log in using SSO.
    is_sso_user: bool = False
    #: Optional last name of the user to be created.
    lastname: str | None = None
    #: Optional title of the user to be created.
    title: str | None = None


class AdminCreatedUser(_Record, frozen=True, gc=False):
    """User account created by an admin that has organization collaborator permissions."""

    TYPES = {
        "user_id": _TEXT,
        "name": _TEXT,
        "email": _TEXT,
        "created_at": (datetime,),
        "is_sso_user": _FLAG,
        "lastname": _OPTIONAL_TEXT,
        "title": _OPTIONAL_TEXT,
    }

    #: ID of the user that has been created.
    user_id: str
    #: First name of the user that has been created.
    name: str
    #: Email of the user that has been created, as it was entered.
    email: str
    #: When the user was created, in UTC.
    created_at: datetime
    #: Whether the user is an SSO user. SSO users can log in using SSO.
    is_sso_user: bool
    #: Optional last name of the user that has been created.
    lastname: str | None
    #: Optional title of the user that has been created.
    title: str | None


class User(_Record, frozen=True, gc=False):
    """A user account, as `list` and `get` show it."""

    TYPES = {
        "email": _TEXT,
        "name": _TEXT,
        "created_at": (datetime,),
        "permission_level": _TEXT,
        "user_id": _TEXT,
        "suspended_at": _OPTIONAL_TIME,
    }

    #: Email of the user, as it was entered.
    email: str
    #: First name of the user.
    name: str
    #: When the user was created, in UTC.
    created_at: datetime
    #: `collaborator` or `owner`.
    permission_level: str
    #: ID of the user.
    user_id: str
    #: When the account was suspended, in UTC; None if it is not.
    suspended_at: datetime | None = None


class PasswordLink(_Record, frozen=True, gc=False):
    """A one-time link that is enough to set the password of an account."""

    TYPES = {
        "user_id": _TEXT,
        "email": _TEXT,
        "url": _TEXT,
        "expires_at": (datetime,),
    }

    #: ID of the user.
    user_id: str
    #: Email of the user, as it was entered.
    email: str
    #: The link itself. `repr` hides it.
    url: str
    #: When the link expires, in UTC.
    expires_at: datetime

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields as `repr` and rich show them: without the link."""
        return list((self.to_dict() | {"url": "***"}).items())


class Batch(Struct, frozen=True, kw_only=True):
    """A batch as the control plane stores it."""

    #: `bat_...`
    batch_id: str
    #: `open`, `published`, `dropped` or `expired`
    state: str
    #: `fail` or `skip`
    if_exists: str
    #: The actor: `local:jane` for a system user of the control plane's own machine.
    opened_by: str
    opened_at: datetime
    #: When a client last worked on it.
    touched_at: datetime
    published_by: str | None = None
    published_at: datetime | None = None
    #: Users of the batch: created if it is published, claimed if it is open.
    users: int = 0
    #: Entries that were skipped because their emails had accounts.
    skipped: int = 0
    #: Users with a password whose hash is not stored yet.
    hashes_due: int = 0
    #: Accounts of a published batch without a usable sign-in method. It is counted only when a
    #: single batch is shown; else None.
    without_way_in: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the batch as plain values."""
        return structs.asdict(self)


class Conflict(Struct, frozen=True, kw_only=True):
    """An entry whose email is taken."""

    #: The entry, counted from 0.
    position: int
    #: Its email, as it was entered.
    email: str
    #: `exists` (an account), `duplicate` (another entry) or `held` (another open batch)
    kind: str
    #: The other entry, if it is a duplicate.
    other: int | None = None
    #: The open batch that has reserved the email, the actor that opened it, and when.
    holder: str | None = None
    held_by: str | None = None
    held_since: datetime | None = None
    #: The account that has the email, if it was just looked up; the id is not stored.
    user_id: str | None = None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_milliseconds(milliseconds: int) -> datetime:
    """Convert a time as the control plane stores it: whole milliseconds since 1970, UTC."""
    # Not fromtimestamp: a float cannot represent every millisecond exactly.
    return _EPOCH + timedelta(milliseconds=milliseconds)


class ReservedChunk(Struct, frozen=True):
    """The result of claiming a chunk of users."""

    users: int
    #: users that were skipped because their emails have accounts
    skipped: int
    #: emails that are taken
    conflicts: int
    #: the open batches that have reserved some of these emails
    holders: list[str]


class Created(Struct, frozen=True):
    """The result of creating a small batch."""

    batch: Batch
    users: list[AdminCreatedUser]
    #: the entries that were skipped
    skipped: list[Conflict]
    #: Whether an earlier call with the same key has created the batch.
    replayed: bool
