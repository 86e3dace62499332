"""What goes into a batch and what comes out of it."""

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
        """Check the types, since Python does not.

        Raises:
            TypeError: naming the field. The value is not shown, as it may be a password.
        """
        for field, types in self.TYPES.items():
            if not isinstance(getattr(self, field), types):
                raise TypeError(_wrong_type(field, types, getattr(self, field)))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Give the fields as `repr` and rich show them, which is without the password."""
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
    #: Password for the account; empty or None for an account without one. In no `repr`.
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
    #: Email of the user that has been created, as it was given.
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

    #: Email of the user, as it was given.
    email: str
    #: First name of the user.
    name: str
    #: When the user was created, in UTC.
    created_at: datetime
    #: `collaborator` or `owner`.
    permission_level: str
    #: ID of the user.
    user_id: str
    #: Since when nobody gets in to the account, in UTC; None for one that is not suspended.
    suspended_at: datetime | None = None


class PasswordLink(_Record, frozen=True, gc=False):
    """A one-time link by which a person sets a password. Whoever has it can do so."""

    TYPES = {
        "user_id": _TEXT,
        "email": _TEXT,
        "url": _TEXT,
        "expires_at": (datetime,),
    }

    #: ID of the user whom it is for.
    user_id: str
    #: Email of the user, as it was given.
    email: str
    #: The link itself. In no `repr`.
    url: str
    #: After which it is no good, in UTC.
    expires_at: datetime

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Give the fields as `repr` and rich show them, which is without the link."""
        return list((self.to_dict() | {"url": "***"}).items())


class Batch(Struct, frozen=True, kw_only=True):
    """One call of the main job, as the control plane keeps it."""

    #: `bat_...`
    batch_id: str
    #: `open`, `published`, `dropped` or `expired`
    state: str
    #: `fail` or `skip`
    if_exists: str
    #: Who opened it: `local:jane` for a system user of the control plane's own machine.
    opened_by: str
    opened_at: datetime
    #: When somebody last worked on it.
    touched_at: datetime
    published_by: str | None = None
    published_at: datetime | None = None
    #: Users of this batch: created if it is published, claimed if it is open.
    users: int = 0
    #: Entries passed over because they existed.
    skipped: int = 0
    #: Passwords announced and not yet hashed.
    hashes_due: int = 0
    #: Accounts of a published batch that nobody can sign in to yet; None where it is not counted,
    #: which is everywhere but where one batch is shown.
    without_way_in: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the batch as plain values."""
        return structs.asdict(self)


class Conflict(Struct, frozen=True, kw_only=True):
    """An entry whose email somebody else has."""

    #: Which entry, counted from 0.
    position: int
    #: Its email, as given.
    email: str
    #: `exists` (an account), `duplicate` (another entry) or `held` (another open batch)
    kind: str
    #: The other entry, where it is a duplicate.
    other: int | None = None
    #: The batch that holds the email, who opened it and when, where it is held.
    holder: str | None = None
    held_by: str | None = None
    held_since: datetime | None = None
    #: Whose account has the email, where that was looked up and not remembered.
    user_id: str | None = None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_milliseconds(milliseconds: int) -> datetime:
    """Read a time as the control plane stores it: whole milliseconds since 1970, UTC."""
    # Not fromtimestamp: a float cannot hold every millisecond exactly.
    return _EPOCH + timedelta(milliseconds=milliseconds)


class ReservedChunk(Struct, frozen=True):
    """What the claim of one page of users came to."""

    users: int
    #: Passed over because they exist.
    skipped: int
    #: Emails that somebody else has.
    conflicts: int
    #: The open batches that hold some of those.
    holders: list[str]


class Created(Struct, frozen=True):
    """What a batch came to."""

    batch: Batch
    users: list[AdminCreatedUser]
    #: The entries that were passed over.
    skipped: list[Conflict]
    #: Whether an earlier call with the same key had created it.
    replayed: bool
