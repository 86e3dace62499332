"""Reads bytes as the command reads a file."""

import io

from anyscale.user.files import FileReading, UsersFile, format_of
from anyscale.user.validation import CheckedUser, Policy


def read(data: bytes, name: str = "users.yaml") -> tuple[list[CheckedUser], FileReading]:
    """Read a whole file: its right users, and the reading, which knows what is wrong."""
    reading = UsersFile(io.BytesIO(data), name, format_of(name)).reading(Policy())
    return list(reading), reading


def lines(data: bytes, name: str = "users.yaml") -> list[str]:
    """Say what is wrong with a file, as an administrator reads it."""
    _users, reading = read(data, name)
    return [str(problem) for problem in reading.problems]
