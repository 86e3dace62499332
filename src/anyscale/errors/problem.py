"""What is wrong with an entry, or with a file."""

from typing import Any

from msgspec import Struct, structs

__all__ = ["Problem"]


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one entry, or with the file as a whole."""

    #: Which entry, counted from 0; None where it is the file.
    index: int | None = None
    #: Which field of it; None where it is the entry or the file.
    field: str | None = None
    #: What kind of thing: one of the codes in docs/errors.md.
    code: str
    #: What is wrong and how to mend it, in a sentence for people. Never a password.
    detail: str
    #: The file's name as the caller gave it; None where the users came from Python.
    file: str | None = None
    #: Counted from 1, as editors do.
    line: int | None = None
    #: In characters, counted from 1.
    column: int | None = None

    @property
    def path(self) -> str:
        """Where in the input: `create_users[3].email`, `create_users[3]`, or nothing."""
        if self.index is None:
            return self.field or ""
        entry = f"create_users[{self.index}]"
        return f"{entry}.{self.field}" if self.field else entry

    def __str__(self) -> str:
        """One line that an editor can jump to."""
        place = f"{self.file}:{self.line}:{self.column}" if self.file else ""
        return ": ".join(part for part in (place, self.path, self.detail) if part)

    def to_dict(self) -> dict[str, Any]:
        """Give the fields that are known, as plain values."""
        return {key: value for key, value in structs.asdict(self).items() if value is not None}
