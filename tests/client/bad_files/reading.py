"""Read bytes as the command reads a file."""

import io

from anyscale.domain.validation import CheckedUser, Policy
from anyscale.users_file import FileReading, UsersFile, format_of


def read(
    data: bytes, name: str = "users.yaml", *, verify: bool = False
) -> tuple[list[CheckedUser], FileReading]:
    """Read a whole file; return its valid users, and the reading with its problems."""
    file = UsersFile(io.BytesIO(data), name, format_of(name))
    reading = file.reading(Policy(), verify=verify)
    return list(reading), reading


def lines(data: bytes, name: str = "users.yaml", *, verify: bool = False) -> list[str]:
    """Return the problems of a file as lines."""
    _users, reading = read(data, name, verify=verify)
    return [str(problem) for problem in reading.problems]
