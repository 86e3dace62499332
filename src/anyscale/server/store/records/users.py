"""The records of users."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from anyscale.domain.password_hashes import parse
from anyscale.domain.validation import CheckedUser
from anyscale.server.store.records.record import Record
from anyscale.server.store.words import searchable


class NewUserRecord(NamedTuple):
    """A user to insert. A tuple, since one statement takes the values of a thousand of them."""

    user_id: str
    #: The email, folded; None for an ASCII email, where `email_key` is the same text.
    email_folded: str | None
    #: the name, folded
    name_folded: str
    #: The last name, folded; None without one, and for an ASCII one, which SQL folds.
    lastname_folded: str | None
    #: Whether a password will follow, whose hash is stored later.
    hash_due: bool
    # The following fields are those of `CheckedUser`.
    email_key: str
    name: str
    email: str
    lastname: str | None
    title: str | None
    is_sso_user: bool
    external_id: str | None = None


class ImportedRecord(NamedTuple):
    """What a user to insert has in addition, if one of its chunk comes from another system."""

    password_hash: str | None
    password_set_at: int | None
    imported_ms: int | None
    suspended_at: int | None
    subject: str | None

    def __repr__(self) -> str:
        return f"ImportedRecord({self.subject!r})"


class NewUsers:
    """Users to insert. Each record is built when it is read, while the database inserts others.

    Args:
        email_keys: of the users, in order.
        build: returns the record of the user at an index; the same one each time.
        are_imported: whether each record is followed by an `ImportedRecord`: most chunks have
            nothing for it, and the columns cost time.
    """

    def __init__(
        self,
        email_keys: Sequence[str],
        build: Callable[[int], tuple[Any, ...]],
        *,
        are_imported: bool = False,
    ) -> None:
        self.are_imported: Final = are_imported
        self._email_keys = email_keys
        self._build = build

    def __len__(self) -> int:
        return len(self._email_keys)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return map(self._build, range(len(self)))

    def by_email_key(self) -> Iterator[tuple[Any, ...]]:
        """Iterate in the order of `email_key`; users with equal keys keep their order."""
        return map(self._build, sorted(range(len(self)), key=self._email_keys.__getitem__))


def new_users(
    ids: Sequence[str], users: Sequence[CheckedUser], imported_at: int | None
) -> NewUsers:
    """Return the rows of users with these ids.

    `imported_at` is the time of the import; None if none of them comes from another system.
    """
    # The same as `NewUserRecord(...)`, without a call of a Python function for each row.
    new = partial(tuple.__new__, NewUserRecord)

    def build(at: int) -> NewUserRecord:
        user = users[at]
        name, email, lastname = user.name, user.email, user.lastname
        return new(
            (
                ids[at],
                None if email.isascii() else searchable(email),
                name.lower() if name.isascii() else searchable(name),
                None if lastname is None or lastname.isascii() else searchable(lastname),
                user.has_password and not user.password_hash,
                user.email_key,
                name,
                email,
                lastname,
                user.title,
                user.is_sso_user,
                user.external_id,
            )
        )

    def build_imported(at: int) -> tuple[Any, ...]:
        return build(at) + _imported(users[at], imported_at)

    keys = [user.email_key for user in users]
    if imported_at is None:
        return NewUsers(keys, build)
    return NewUsers(keys, build_imported, are_imported=True)


def _imported(user: CheckedUser, at: int | None) -> ImportedRecord:
    suspended_at, text = (at if user.suspended else None), user.password_hash
    if text is None:
        return ImportedRecord(None, None, None, suspended_at, user.sub)
    set_at = None if user.password_initial else at
    return ImportedRecord(text, set_at, parse(text).milliseconds, suspended_at, user.sub)


class UserRecord(Record, frozen=True, gc=False):
    """An account as listings show it, without secrets."""

    user_id: str
    email: str
    name: str
    #: when its batch was published
    created_at: int
    #: `collaborator` or `owner`
    permission_level: str
    suspended_at: int | None
    lastname: str | None
    title: str | None
    is_sso_user: bool
    external_id: str | None
    #: of an account that is not suspended: what it was before a form restored it
    suspended_by_sync: bool
    #: the beginning of the day (UTC) of the last sign-in
    last_sign_in: int | None


class AccountRecord(UserRecord, frozen=True, gc=False):
    """An account, with the hash of its password."""

    batch_id: str
    password_hash: str | None
    #: When the user chose the password; None while it is the one that an administrator set.
    password_set_at: int | None
    #: Of a hash that another system has made: about how many milliseconds it takes to verify it.
    imported_ms: int | None
    #: When it was first used: by a sign-in, a change of its password or role, or a new token.
    used_at: int | None
    #: see `sub`
    subject: str | None

    @property
    def sub(self) -> str:
        """By which applications know the user (OpenID Connect Core, 2): it never changes."""
        return self.subject or self.user_id

    @property
    def suspended(self) -> bool:
        return self.suspended_at is not None

    def __repr__(self) -> str:
        return f"AccountRecord({self.user_id!r})"


class ExportedRecord(Record, frozen=True, gc=False):
    """An account as an export of all of them has it."""

    user_id: str
    email: str
    name: str
    lastname: str | None
    title: str | None
    is_sso_user: bool
    external_id: str | None
    permission_level: str
    suspended_at: int | None
    subject: str | None
    password_hash: str | None
    password_set_at: int | None

    def __repr__(self) -> str:
        return f"ExportedRecord({self.user_id!r})"


class ReservedRecord(Record, frozen=True, gc=False):
    """A user of a batch, published or not, with what the digest of its chunk covers."""

    user_id: str
    email: str
    name: str
    lastname: str | None
    title: str | None
    is_sso_user: bool
    external_id: str | None
    has_password: bool


class NewHash(NamedTuple):
    """The hash of a password of a reserved user."""

    user_id: str
    password_hash: str
    #: of a wrapped hash: when it was imported, since the user has chosen the password
    password_set_at: int | None = None
    #: of a wrapped hash: about how many milliseconds it takes to verify it
    imported_ms: int | None = None

    def __repr__(self) -> str:
        return f"NewHash({self.user_id!r})"


class ReservedHash(Record, frozen=True, gc=False):
    """The hash of a row of an open batch."""

    user_id: str
    password_hash: str


class SubjectHolder(Record, frozen=True, gc=False):
    """A row whose user applications know by a `sub`."""

    sub: str
    user_id: str
    email_key: str
    batch_id: str
    #: of its batch
    state: str


class NewEmail(NamedTuple):
    """An email that an account is to get."""

    user_id: str
    email: str
    email_key: str


class FreedEmailRecord(Record, frozen=True, gc=False):
    """An email that an account had before."""

    email_key: str
    #: empty if the account was deleted
    user_id: str
    #: when the account got another one, or was deleted
    freed_at: int
