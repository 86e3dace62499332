"""A Python list as a source of users: the argument of the calls of the SDK."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import IOBase
from os import PathLike

from msgspec import UNSET

from anyscale.domain.emails import email_key
from anyscale.domain.models.users import AdminCreateUser
from anyscale.domain.passwords import normalized
from anyscale.domain.user_sources import ProblemList, Reading, UserSource, split_weak_hash
from anyscale.domain.validation import CheckedUser, Policy, check_fields, find_faults, shown
from anyscale.errors import Problem


def source_of(users: Iterable[AdminCreateUser] | UserSource) -> UserSource:
    """Return the argument of a call as a source of users.

    Raises:
        TypeError: see `ListSource`.
    """
    return users if isinstance(users, UserSource) else ListSource(users)


class ListSource:
    """The argument `admin_create_users` of a call of the SDK.

    Raises:
        TypeError: it cannot be iterated, or an element is not an `AdminCreateUser`.
    """

    def __init__(self, users: Iterable[AdminCreateUser]) -> None:
        self.users: Sequence[AdminCreateUser] = list(_iterator(users))
        for index, user in enumerate[object](self.users):
            if not isinstance(user, AdminCreateUser):
                what = f"{type(user).__name__}{_mend(user)}"
                raise TypeError(f"admin_create_users[{index}] must be AdminCreateUser, not {what}")
        #: users that the current reading has read
        self.read: int = 0

    @property
    def label(self) -> None:
        """A list has no name."""

    def reading(self, policy: Policy, *, verify: bool = False) -> Reading:
        self.read = 0
        return _ListReading(self, policy, verify=verify)

    def check_unchanged(self) -> None:
        """Do nothing: the models are immutable, and the list is a copy."""

    def progress(self) -> tuple[int, int]:
        return self.read, len(self.users)


def _iterator(users: Iterable[AdminCreateUser]) -> Iterator[AdminCreateUser]:
    # These can be iterated: a text by its letters, a file by its lines, a dict by its keys.
    is_file = isinstance(users, str | PathLike | IOBase)
    with suppress(TypeError):
        if not is_file and not isinstance(users, Mapping):
            return iter(users)
    mend = ": open a file by `users_file`" if is_file else _mend(users)
    if isinstance(users, AdminCreateUser):
        mend = ": put it in a list"
    kind = type(users).__name__
    raise TypeError(f"admin_create_users must be a list of AdminCreateUser, not {kind}{mend}")


def _mend(user: object) -> str:
    """Say how something becomes a user: those of a JSON file or of pandas are dicts."""
    return ": write AdminCreateUser(**user)" if isinstance(user, Mapping) else ""


class _ListReading:
    """One reading of a list: see `anyscale.domain.user_sources.Reading`."""

    def __init__(self, source: ListSource, policy: Policy, *, verify: bool) -> None:
        self._source = source
        self._verify = verify
        self._policy = policy
        self._passwords: list[tuple[int, str]] = []
        self.problems = ProblemList()

    def __iter__(self) -> Iterator[CheckedUser]:
        emails: dict[str, int] = {}
        external_ids: dict[str, int] = {}
        for index, user in enumerate(self._source.users):
            self._source.read += 1
            checked = self._check(user)
            key = checked.email_key if checked else self._refuse(index, user)
            external_id = checked.external_id if checked else None
            is_new = True
            if key and (previous := emails.setdefault(key, index)) != index:
                is_new = self._refuse_again(index, "email", user.email, previous)
            if external_id and (previous := external_ids.setdefault(external_id, index)) != index:
                is_new = self._refuse_again(index, "external_id", external_id, previous)
            if checked and is_new:
                if user.password and not self._verify:
                    self._passwords.append((index, normalized(user.password)))
                checked, weak = split_weak_hash(checked, index)
                self._passwords += [weak] if weak else []
                yield checked
            else:
                self.problems.refused.append(index)

    def take_passwords(self) -> list[tuple[int, str]]:
        passwords, self._passwords = self._passwords, []
        return passwords

    def locate(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        return problems

    def _refuse(self, index: int, user: AdminCreateUser) -> str | None:
        """Add the problems of a user; return the key of the email if it is valid."""
        faults = find_faults(user.to_dict(), self._policy, verify=self._verify)
        assert faults, "a user without a problem would be lost"
        for fault in faults:
            self._add(index, *fault)
        is_email_wrong = any(fault.field == "email" for fault in faults)
        return None if is_email_wrong else email_key(user.email)

    def _check(self, user: AdminCreateUser) -> CheckedUser | None:
        if not self._verify:
            password_hash = getattr(user, "password_hash", None)
            return check_fields(self._policy, user, user.password, password_hash)
        # A model without the field says nothing of it.
        return check_fields(self._policy, user, None, no_external_id=UNSET)

    def _refuse_again(self, index: int, field: str, value: str, previous: int) -> bool:
        """Add the problem of a value that an earlier user has; return False."""
        detail = f"{shown(value)} is also the {field} of create_users[{previous}]"
        self._add(index, field, f"{field}_duplicate", detail, previous)
        return False

    def _add(
        self, index: int, field: str, code: str, detail: str, other: int | None = None
    ) -> None:
        problem = Problem(index=index, field=field, code=code, detail=detail, other=other)
        self.problems.add(problem)
