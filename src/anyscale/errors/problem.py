"""One thing that is wrong with an entry of a batch or with a users file."""

from typing import Any

from msgspec import Struct, structs

__all__ = ["Problem"]


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one entry, or with the file as a whole."""

    #: The entry, counted from 0; None for the file as a whole.
    index: int | None = None
    #: The field; None for the entry as a whole or the file.
    field: str | None = None
    #: One of the codes in docs/errors.md.
    code: str
    #: What is wrong and how to mend it, as a sentence. It never quotes a password.
    detail: str
    #: The file's name as the caller wrote it; None if the users came from Python.
    file: str | None = None
    #: The line, counted from 1 as in editors.
    line: int | None = None
    #: The column in characters, counted from 1.
    column: int | None = None

    @property
    def path(self) -> str:
        """The place in the input: `create_users[3].email`, `create_users[3]`, or nothing."""
        if self.index is None:
            return self.field or ""
        entry = f"create_users[{self.index}]"
        return f"{entry}.{self.field}" if self.field else entry

    def __str__(self) -> str:
        """Return one line that an editor can jump to."""
        place = f"{self.file}:{self.line}:{self.column}" if self.file else ""
        return ": ".join(part for part in (place, self.path, self.detail) if part)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are not None, as plain values."""
        return {key: value for key, value in structs.asdict(self).items() if value is not None}
