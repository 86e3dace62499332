"""The interface of sources of users: a users file (`users_file`) or a list (`user.list_source`)."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

from msgspec import structs

from anyscale.domain.password_hashes import parse
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.errors import Problem
from anyscale.errors.batches import MAX_PROBLEMS


class WeakHash(NamedTuple):
    """A weak hash in place of a password, with the position of its user: it is to be wrapped."""

    position: int
    text: str

    def __repr__(self) -> str:
        return f"WeakHash({self.position})"


def split_weak_hash(user: CheckedUser, position: int) -> tuple[CheckedUser, WeakHash | None]:
    """Take a weak hash out of a user, which is sent apart as passwords are."""
    text = user.password_hash
    if text is None:
        return user, None
    if not parse(text).weakness:
        return user, None
    return structs.replace(user, password_hash=None), WeakHash(position, text)


class ProblemList(list[Problem]):
    """The first problems of an input by place; `more` counts those that were removed."""

    more: int = 0

    def __init__(self) -> None:
        super().__init__()
        #: the positions of the entries that were refused while they were read, in order
        self.refused: array[int] = array("I")

    def position_of(self, number: int) -> int:
        """Return the position in the input of a valid user, by its number among the valid ones."""
        refused = self.refused
        return number + bisect_right(range(len(refused)), number, key=lambda at: refused[at] - at)

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
        """Return the passwords of the users read since the last call, with their positions.

        A `WeakHash` stands in place of a password.
        """

    def locate(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        """Add their places in the input to problems that the control plane has found."""


@runtime_checkable
class UserSource(Protocol):
    """Users that can be read as often as needed."""

    @property
    def label(self) -> str | None:
        """The name that the input has for people, such as that of its file; None without one."""

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
