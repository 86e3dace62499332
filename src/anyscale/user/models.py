"""The records that users of the SDK see, and those that both sides exchange.

This module imports nothing else of the package, so that importing the models is cheap.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, get_args

from msgspec import UNSET, Struct, UnsetType, structs

__all__ = [
    "AdminCreateUser",
    "AdminCreatedUser",
    "Batch",
    "Conflict",
    "Created",
    "KeptUser",
    "PasswordLink",
    "ReservedChunk",
    "UpdatedUser",
    "User",
    "UserChanges",
    "check_type",
    "from_milliseconds",
]


def __dir__() -> list[str]:
    """Return the public names, without what this module imports."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def check_type(name: str, value: Any, *types: type) -> None:
    """Raise a `TypeError` that names a field, and not its value, which may be a password."""
    if not isinstance(value, types):
        named = (kind for kind in types if kind is not UnsetType)
        names = ("None" if kind is type(None) else kind.__name__ for kind in named)
        raise TypeError(f"{name} must be {' or '.join(names)}, not {type(value).__name__}")


class _Record(Struct, frozen=True, gc=False):
    """An immutable record that checks the types of its fields and shows no secret."""

    #: field -> the types of its annotation
    _TYPES: ClassVar[dict[str, tuple[type, ...]]] = {}

    def __init_subclass__(cls) -> None:
        own = {field: get_args(kind) or (kind,) for field, kind in cls.__annotations__.items()}
        cls._TYPES = cls._TYPES | own

    def __post_init__(self) -> None:
        """Check the types; make a subclass of str the text that it is."""
        for field, types in self._TYPES.items():
            value = getattr(self, field)
            if type(value) in types:
                continue
            check_type(field, value, *types)
            if isinstance(value, str):  # a subclass, as numpy's, which JSON does not have
                structs.force_setattr(self, field, str.__str__(value))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields as `repr` and rich show them."""
        values = structs.asdict(self).items()
        return [(field, "***" if value and field in _SECRETS else value) for field, value in values]

    def __repr__(self) -> str:
        fields = ", ".join(f"{field}={value!r}" for field, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"


_SECRETS = ("password", "url")


class AdminCreateUser(_Record, frozen=True, gc=False):
    """User to be created by an admin.

    A value of another type raises `TypeError`. The call checks all else, and names every wrong
    entry in one `BatchRefused`. Control characters are refused in every field.

    Attributes:
        name (str): First name of the user to be created: at most 256 characters, not blank.
        email (str): Email, unique without regard to case: at most 254 octets.
        password (str or None): Password for the account: from 8 characters, or the minimum of the
            control plane, to 1,024. Empty or None, the default, for an account without one. `repr`
            hides it.
        is_sso_user (bool): Whether the user is an SSO user. SSO users can log in using SSO.
            Default: False.
        lastname (str or None): Last name: at most 256 characters. Default: None.
        title (str or None): Title: at most 256 characters. Default: None.
    """

    name: str
    email: str
    password: str | None = None
    is_sso_user: bool = False
    lastname: str | None = None
    title: str | None = None


class AdminCreatedUser(_Record, frozen=True, gc=False):
    """User account created by an admin that has organization collaborator permissions.

    Attributes:
        user_id (str): `usr_...`, unique.
        name (str): First name.
        email (str): Email as it was entered.
        created_at (datetime): When the account was created, in UTC.
        is_sso_user (bool): Whether the user is an SSO user.
        lastname (str or None): Last name.
        title (str or None): Title.
    """

    user_id: str
    name: str
    email: str
    created_at: datetime
    is_sso_user: bool
    lastname: str | None
    title: str | None


class User(_Record, frozen=True, gc=False):
    """A user account, as `list` and `get` show it.

    Attributes:
        email (str): Email as it was entered.
        name (str): First name.
        created_at (datetime): When the account was created, in UTC.
        permission_level (str): `collaborator` or `owner`.
        user_id (str): `usr_...`, unique.
        suspended_at (datetime or None): When the account was suspended, in UTC; None, the default,
            if it is not.
        lastname (str or None): Last name. Default: None.
        title (str or None): Title. Default: None.
        is_sso_user (bool): Whether the user is an SSO user. Default: False.
    """

    email: str
    name: str
    created_at: datetime
    permission_level: str
    user_id: str
    suspended_at: datetime | None = None
    lastname: str | None = None
    title: str | None = None
    is_sso_user: bool = False


class UserChanges(_Record, frozen=True, gc=False, forbid_unknown_fields=True):
    """New values of fields of an account. A field that is unset stays as it is."""

    name: str | UnsetType = UNSET
    #: None clears it.
    lastname: str | UnsetType | None = UNSET
    #: None clears it.
    title: str | UnsetType | None = UNSET
    is_sso_user: bool | UnsetType = UNSET

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {field: value for field, value in super().to_dict().items() if value is not UNSET}


class UpdatedUser(Struct, frozen=True):
    """An account after a change of its fields."""

    user: User
    has_password: bool


class PasswordLink(_Record, frozen=True, gc=False):
    """A one-time link that is enough to set the password of an account."""

    user_id: str
    #: As it was entered.
    email: str
    #: `repr` hides it.
    url: str
    #: In UTC.
    expires_at: datetime
    #: Whether the user signs in by the identity provider: the link adds a password beside it.
    is_sso_user: bool = False


class Batch(Struct, frozen=True, kw_only=True):
    """A batch as the control plane stores it. Times are in UTC.

    Attributes:
        batch_id (str): `bat_...`, unique.
        state (str): `open`, `published`, `undoing`, `undone`, `dropped` or `expired`.
        if_exists (str): `fail` or `skip`.
        opened_by (str): The actor: `local:jane` for a system user of the control plane's own
            machine.
        opened_at (datetime): When it was opened.
        touched_at (datetime): When a client last worked on it.
        published_by (str or None): The actor that published it. Default: None.
        published_at (datetime or None): When it was published. Default: None.
        users (int): Users of the batch: claimed if it is open, created if it was published.
        skipped (int): Entries that were skipped because their emails had accounts.
        hashes_due (int): Users with a password whose hash is not stored yet.
        without_way_in (int or None): Accounts of a published batch without a usable sign-in
            method. It is counted only when a single batch is shown; else None.
        removed (int or None): Users of a published batch whose accounts were deleted, by an undo or
            by `user delete`. Counted as `without_way_in`; else None.
        remaining (int or None): Users of a published batch that still have accounts. Counted as
            `without_way_in`; else None.
        opened_by_caller (bool or None): Whether the caller's actor is `opened_by`. The names are
            compared: a caller whose token was replaced by one with another name counts as another.
            Only when a single batch is shown or dropped; else None.
    """

    batch_id: str
    state: str
    if_exists: str
    opened_by: str
    opened_at: datetime
    touched_at: datetime
    published_by: str | None = None
    published_at: datetime | None = None
    users: int = 0
    skipped: int = 0
    hashes_due: int = 0
    without_way_in: int | None = None
    removed: int | None = None
    remaining: int | None = None
    opened_by_caller: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        return structs.asdict(self)


class KeptUser(_Record, frozen=True, gc=False):
    """An account that remains when its batch is undone.

    Attributes:
        user_id (str): `usr_...`
        email (str): As it was entered.
        reason (str): `used`: the account was used since, and the undo was not forced.
            `last_owner`: no other owner could sign in. `caller`: it is the caller's own account.
    """

    user_id: str
    email: str
    reason: str


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


@lru_cache(maxsize=1024)  # all accounts of a batch were created at one time
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
    skipped: list[Conflict]
    #: Whether an earlier call with the same key has created the batch.
    replayed: bool
