"""Users as callers create, see and change them."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, TypedDict

from msgspec import UNSET, Struct, UnsetType, structs

from anyscale.domain.models.base import CheckedModel, Model


class AdminCreateUser(CheckedModel, frozen=True, gc=False):
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


class AdminImportUser(AdminCreateUser, frozen=True, gc=False):
    """User to be created by an admin, with what another system knows about the person.

    Attributes:
        external_id (str or None): Personnel number, or what else stays with the person: at most 256
            characters. Default: None.
        password_hash (str or None): Hash of the password, as another system has made it, in place
            of `password`. Default: None. `repr` hides it.
        suspended (bool): Whether the account is suspended from the beginning. Default: False.
        password_initial (bool): Whether the user has to change the password of `password_hash`, as
            one of `password`. Default: False.
        sub (str or None): The id that identifies the user to applications, from an export of
            another control plane. Default: None, for the `user_id`.
    """

    external_id: str | None = None
    password_hash: str | None = None
    suspended: bool = False
    password_initial: bool = False
    sub: str | None = None


class AdminCreatedUser(CheckedModel, frozen=True, gc=False):
    """User account created by an admin that has organization collaborator permissions.

    Attributes:
        user_id (str): `usr_...`, unique.
        name (str): First name.
        email (str): Email as it was entered.
        created_at (datetime): When the account was created, in UTC.
        is_sso_user (bool): Whether the user is an SSO user.
        lastname (str or None): Last name. Default: None.
        title (str or None): Title. Default: None.
    """

    user_id: str
    name: str
    email: str
    created_at: datetime
    is_sso_user: bool
    lastname: str | None = None
    title: str | None = None


class SkippedUser(TypedDict):
    """An entry that was skipped, because its email has an account."""

    #: The entry, counted from 0.
    index: int
    #: As the entry has it.
    email: str


class CreatedUsers(list[AdminCreatedUser]):
    """The users that a batch created, in the order of the input."""

    #: The entries that were skipped.
    skipped: list[SkippedUser]
    #: None after a dry run, and for an input without users.
    batch_id: str | None

    def __init__(
        self,
        users: Iterable[AdminCreatedUser] = (),
        skipped: Iterable[SkippedUser] = (),
        batch_id: str | None = None,
    ) -> None:
        super().__init__(users)
        self.skipped = list(skipped)
        self.batch_id = batch_id

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - IPython's names
        """Show the batch in a notebook, before its users."""
        if self.batch_id:
            printer.text(f"# batch {self.batch_id}, skipped: {len(self.skipped)}")
            printer.break_()
        printer.pretty(list(self))


class User(Model, frozen=True, gc=False):
    """A user account, as `list` and `get` show it.

    It checks no types: its values come from the store or a decoder, which do. A million accounts
    may be compared with a file or listed, and checking takes longer than all else.

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
        external_id (str or None): Personnel number, or what else stays with the person. Default:
            None.
        suspended_by_sync (bool): Whether a `sync` suspended the account, and nobody manually since.
            Default: False.
        last_sign_in_on (date or None): The day of the last sign-in, in UTC. Default: None, for an
            account to which nobody has signed in.
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
    external_id: str | None = None
    suspended_by_sync: bool = False
    last_sign_in_on: date | None = None


class UserChanges(CheckedModel, frozen=True, gc=False, forbid_unknown_fields=True):
    """New values of fields of an account. A field that is unset stays as it is."""

    name: str | UnsetType = UNSET
    #: None clears it.
    lastname: str | UnsetType | None = UNSET
    #: None clears it.
    title: str | UnsetType | None = UNSET
    #: None clears it.
    external_id: str | UnsetType | None = UNSET
    is_sso_user: bool | UnsetType = UNSET
    email: str | UnsetType = UNSET

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {field: value for field, value in super().to_dict().items() if value is not UNSET}


class ExpectedUser(UserChanges, frozen=True, gc=False, forbid_unknown_fields=True):
    """What an account must be before a change. A field that is unset may have any value."""

    #: `collaborator` or `owner`
    permission_level: str | UnsetType = UNSET
    suspended: bool | UnsetType = UNSET


class EmailChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The new email of an account, and what the account must be before."""

    user_id: str
    email: str
    expected: ExpectedUser


class UpdatedUser(Struct, frozen=True):
    """An account after a change of its fields."""

    user: User
    has_password: bool


class PasswordLink(CheckedModel, frozen=True, gc=False):
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


class Difference(Struct, frozen=True):
    """One difference between an entry and its account.

    Attributes:
        index (int): The entry, counted from 0.
        line (int or None): The line of its email in the file, counted from 1; None for a list.
        column (int or None): The column of its email, counted from 1; None for a list.
        email (str): As the file has it.
        kind (str): `missing` (there is no account), `different` (of one field), `suspended`, or
            `question` (the account may be another person's; no field is compared then).
        field (str or None): The field that is different.
        file (str, bool or None): Its value in the file.
        account (str, bool or None): Its value in the account.
        user_id (str or None): The account; None if there is none.
        kept (bool): Whether no file changes the field, since the account is an owner's.
        cell (str or None): The cell of its email, such as `C24`; None if the file has none.
        reason (str or None): What is in doubt; None for all other kinds.
    """

    index: int
    line: int | None
    column: int | None
    email: str
    kind: str
    field: str | None = None
    file: str | bool | None = None
    account: str | bool | None = None
    user_id: str | None = None
    kept: bool = False
    cell: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary representation of the model."""
        return structs.asdict(self)
