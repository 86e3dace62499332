"""Read bytes as the command reads a file."""

import io

from anyscale.user.files import FileReading, UsersFile, format_of
from anyscale.user.validation import CheckedUser, Policy


def read(data: bytes, name: str = "users.yaml") -> tuple[list[CheckedUser], FileReading]:
    """Read a whole file; return its valid users, and the reading with its problems."""
    reading = UsersFile(io.BytesIO(data), name, format_of(name)).reading(Policy())
    return list(reading), reading


def lines(data: bytes, name: str = "users.yaml") -> list[str]:
    """Return the problems of a file as lines."""
    _users, reading = read(data, name)
    return [str(problem) for problem in reading.problems]
