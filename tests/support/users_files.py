"""Generated users files."""

from collections.abc import Iterable
from pathlib import Path


def write_users_file(path: Path, count: int, passwords: int, prefix: str = "user") -> Path:
    """Write a users file in which the passwords are spread evenly.

    Args:
        path: of the new file.
        count: number of users.
        passwords: number of users with a password.
        prefix: the first part of each email.
    """
    every = count // passwords if passwords else 0
    lines = ["create_users:"]
    for i in range(count):
        lines += [f"- name: Name {i}", f"  email: {prefix}{i}@example.com"]
        if every and i % every == 0 and i // every < passwords:
            lines.append(f"  password: correct horse {i} battery")
    path.write_text("\n".join(lines) + "\n")
    return path


def emails_in_file(count: int) -> list[str]:
    """List the emails of a file that `write_users_file` wrote, sorted."""
    return sorted(f"user{i}@example.com" for i in range(count))


def write_flow_users_file(
    path: Path, numbers: Iterable[int], passwords: int = 0, prefix: str = "u"
) -> Path:
    """Write a users file with a line for each user, of which the first ones have passwords.

    Args:
        path: of the new file.
        numbers: of the users, which are in their names and emails.
        passwords: number of users with a password.
        prefix: the first part of each email.
    """
    entries = (
        f"- {{name: n{i}, email: {prefix}{i}@example.com"
        + (f", password: kx-{i}-quvam-dirolt" if at < passwords else "")
        + "}\n"
        for at, i in enumerate(numbers)
    )
    path.write_text("create_users:\n" + "".join(entries), encoding="utf-8")
    return path
