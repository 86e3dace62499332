"""Users files of any size, with the same content in each run."""

import random
from collections.abc import Iterator
from pathlib import Path

__all__ = ["email_of", "shuffled", "write_users"]

_USER = """\
- name: name{i}
  email: {email}
  password: '{password}'
  is_sso_user: false
  lastname: lastname{i}
  title: title{i}
"""


def write_users(path: Path, count: int, *, passwords: bool = False, first: int = 0) -> Path:
    """Write a YAML file of users, numbered from `first`, in random order."""
    with path.open("w", encoding="utf-8") as file:
        file.write("create_users:\n")
        for i in shuffled(count, first):
            password = f"Xk9-vq{i}dtrz" if passwords else ""
            file.write(_USER.format(i=i, email=email_of(i), password=password))
    return path


def shuffled(count: int, first: int = 0) -> Iterator[int]:
    """Yield the numbers of users in random order, the same one in each run."""
    numbers = list(range(first, first + count))
    random.Random(count).shuffle(numbers)
    yield from numbers


def email_of(number: int) -> str:
    """Return the email of a user: no two users share one, and neighbours have none alike."""
    # Multiplying by an odd number modulo 2^64 permutes the numbers. Each email then belongs
    # anywhere in an index, which is its slowest case.
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}@example{number % 100}.com"
