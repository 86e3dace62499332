"""The interface of sources of users, such as a users file, and the source for a Python list."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from msgspec import structs

from anyscale.errors import Problem
from anyscale.errors.batches import MAX_PROBLEMS
from anyscale.user.emails import email_key
from anyscale.user.models import AdminCreateUser
from anyscale.user.passwords import normalized
from anyscale.user.validation import CheckedUser, Policy, check, find_faults, shown

__all__ = ["Chunk", "ProblemList", "Reading", "UserList", "UserSource", "chunks"]


class ProblemList(list[Problem]):
    """The first problems of an input by place; `more` counts those that were removed."""

    more = 0

    def add(self, problem: Problem) -> None:
        self.append(problem)
        if len(self) >= 2 * MAX_PROBLEMS:
            self.trim()

    def trim(self) -> None:
        """Sort by place, and keep the first ones."""
        self.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
        self.more += len(self[MAX_PROBLEMS:])
        del self[MAX_PROBLEMS:]


class Reading(Protocol):
    """One reading of the users: iterate over it, then look at its problems."""

    @property
    def problems(self) -> ProblemList:
        """The problems so far; at the end of the iteration they are in order."""

    def __iter__(self) -> Iterator[CheckedUser]: ...

    def take_passwords(self) -> list[tuple[int, str]]:
        """Return the passwords of the users read since the last call, with their positions."""

    def locate(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        """Add their places in the input to problems that the control plane has found."""


class UserSource(Protocol):
    """Users that can be read as often as needed."""

    def reading(self, policy: Policy, *, verify: bool = False) -> Reading:
        """Start a reading from the beginning.

        With `verify` the users are compared and not created: the reading looks at no passwords, and
        fields that an entry lacks are `UNSET`. Only the email is required.
        """

    def check_unchanged(self) -> None:
        """Raise `BatchUnfinished` if the input may have changed between two readings."""

    def progress(self) -> tuple[int, int]:
        """Return how much the current reading has read, and how much there is."""


class Chunk(NamedTuple):
    """A part of a reading."""

    users: list[CheckedUser]
    #: each with the position of its user in the input
    passwords: list[tuple[int, str]]

    def __repr__(self) -> str:
        """Show no password: tracebacks may show local variables."""
        return f"Chunk({len(self.users)} users, {len(self.passwords)} passwords)"


def chunks(reading: Reading, size: int) -> Iterator[Chunk]:
    """Cut a reading into chunks of a number of users."""
    users = iter(reading)
    while chunk := list(islice(users, size)):
        yield Chunk(chunk, reading.take_passwords())


class UserList:
    """The argument `admin_create_users` of a call of the SDK.

    Raises:
        TypeError: it cannot be iterated, or an element is not an `AdminCreateUser`.
    """

    def __init__(self, users: Iterable[AdminCreateUser]) -> None:
        self.users: Sequence[AdminCreateUser] = list(_iterator(users))
        for index, user in enumerate[object](self.users):
            if not isinstance(user, AdminCreateUser):
                kind = type(user).__name__
                raise TypeError(f"admin_create_users[{index}] must be AdminCreateUser, not {kind}")
        #: users that the current reading has read
        self.read = 0

    def reading(self, policy: Policy, *, verify: bool = False) -> Reading:
        self.read = 0
        return ListReading(self, policy, verify=verify)

    def check_unchanged(self) -> None:
        """Do nothing: the models are immutable, and the list is a copy."""

    def progress(self) -> tuple[int, int]:
        return self.read, len(self.users)


def _iterator(users: Iterable[AdminCreateUser]) -> Iterator[AdminCreateUser]:
    try:
        return iter(users)
    except TypeError:
        mend = ": put it in a list" if isinstance(users, AdminCreateUser) else ""
        kind = type(users).__name__ + mend
        raise TypeError(
            f"admin_create_users must be a list of AdminCreateUser, not {kind}"
        ) from None


class ListReading:
    def __init__(self, source: UserList, policy: Policy, *, verify: bool) -> None:
        self._source = source
        self._verify = verify
        self._policy = policy
        self._passwords: list[tuple[int, str]] = []
        self.problems = ProblemList()

    def __iter__(self) -> Iterator[CheckedUser]:
        first: dict[str, int] = {}
        for index, entry in enumerate(self._source.users):
            self._source.read += 1
            user = structs.replace(entry, password=None) if self._verify else entry
            checked = check(
                user.name,
                user.email,
                user.password,
                user.is_sso_user,
                user.lastname,
                user.title,
                self._policy,
            )
            key = checked.email_key if checked else self._refuse(index, user)
            if key and (previous := first.setdefault(key, index)) != index:
                detail = f"{shown(user.email)} is also the email of create_users[{previous}]"
                self._add(index, "email", "email_duplicate", detail)
            elif checked:
                if user.password:
                    self._passwords.append((index, normalized(user.password)))
                yield checked

    def take_passwords(self) -> list[tuple[int, str]]:
        passwords, self._passwords = self._passwords, []
        return passwords

    def locate(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        return problems

    def _refuse(self, index: int, user: AdminCreateUser) -> str | None:
        """Add the problems of a user; return the key of the email if it is valid."""
        faults = find_faults(user.to_dict(), self._policy)
        assert faults, "a user without a problem would be lost"
        for fault in faults:
            self._add(index, *fault)
        is_email_wrong = any(fault.field == "email" for fault in faults)
        return None if is_email_wrong else email_key(user.email)

    def _add(self, index: int, field: str, code: str, detail: str) -> None:
        self.problems.add(Problem(index=index, field=field, code=code, detail=detail))
