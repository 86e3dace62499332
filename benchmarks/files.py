"""Users files of any size, with the same content in each run."""

import random
from pathlib import Path

__all__ = ["write_users"]

_USER = """\
- name: name{i}
  email: user{i}@example{domain}.com
  password: '{password}'
  is_sso_user: false
  lastname: lastname{i}
  title: title{i}
"""


def write_users(path: Path, count: int, *, passwords: bool = False, first: int = 0) -> Path:
    """Write a YAML file of users, numbered from `first`, with emails in random order."""
    numbers = list(range(first, first + count))
    random.Random(count).shuffle(numbers)
    with path.open("w", encoding="utf-8") as file:
        file.write("create_users:\n")
        for i in numbers:
            password = f"Xk9-vq{i}dtrz" if passwords else ""
            file.write(_USER.format(i=i, domain=i % 100, password=password))
    return path
