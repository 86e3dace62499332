"""Generated users files."""

from pathlib import Path

__all__ = ["emails_in_file", "write_users_file"]


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


def emails_in_file(count: int, prefix: str = "user") -> list[str]:
    """List the emails of a file that `write_users_file` wrote, sorted."""
    return sorted(f"{prefix}{i}@example.com" for i in range(count))
