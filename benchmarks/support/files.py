"""Users files of any size, with the same content in each run."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

_USER = """\
- name: name{i}
  email: {email}
{secret}
  is_sso_user: false
  lastname: lastname{i}
  title: title{i}
"""


def write_users(
    path: Path,
    count: int,
    *,
    passwords: bool = False,
    password_hashes: str = "",
    first: int = 0,
) -> Path:
    """Write a YAML file of users, numbered from `first`, in random order.

    Args:
        path: of the file.
        count: of the users.
        passwords: whether they have passwords.
        password_hashes: the beginning of a bcrypt hash, such as `$2b$10$`: if it is given, they
            have hashes made elsewhere, each with a salt of its own, and of no known password.
        first: the number of the first user.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write("create_users:\n")
        for i in shuffled(count, first):
            secret = f"  password: '{_password_of(i) if passwords else ''}'"
            if password_hashes:
                secret = f"  password_hash: '{password_hashes}{_bcrypt_digits(i)}'"
            file.write(_USER.format(i=i, email=email_of(i), secret=secret))
    return path


def _bcrypt_digits(number: int) -> str:
    """Return a salt and a digest of bcrypt: 22 and 31 digits, of which each 22nd is unused bits."""
    return f"{number:021d}O{number:030d}O"


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


def credentials_of(number: int) -> str:
    """Return the JSON with which a user with a password signs in."""
    return json.dumps({"email": email_of(number), "password": _password_of(number)})


def _password_of(number: int) -> str:
    return f"Xk9-vq{number}dtrz"
