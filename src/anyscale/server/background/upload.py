"""A users file of a browser. It is kept only in memory, since it may contain passwords."""

import asyncio
import io
from collections.abc import Mapping
from functools import partial
from typing import Final

from anyscale.domain.labels import label_of_file
from anyscale.domain.validation import FIELDS
from anyscale.errors import RequestInvalid
from anyscale.server.background.memory_budget import MemoryBudget
from anyscale.users_file import FORMATS, format_of
from anyscale.users_file.tables.header import column_name

#: the encodings of CSV that a form offers -> what they are on pages
ENCODINGS: Mapping[str, str] = {
    "windows-1252": "Western European (windows-1252)",
    "windows-1250": "Central European (windows-1250)",
    "windows-1254": "Turkish (windows-1254)",
    "windows-1251": "Cyrillic (windows-1251)",
    "windows-1253": "Greek (windows-1253)",
    "mac-roman": "Mac (mac-roman)",
    "cp850": "DOS (cp850)",
    "utf-16": "Unicode (UTF-16)",
}

_GONE = "the request was given up"


class _Content(io.BytesIO):
    """The octets of a file, which can be read until its request is given up."""

    is_abandoned: bool = False

    def read(self, size: int | None = -1) -> bytes:
        if self.is_abandoned:
            raise RequestInvalid(_GONE)
        return super().read(size)


class Upload:
    """A file in memory, and the fields of its form. Its `repr` shows neither."""

    def __init__(
        self, budget: MemoryBudget, size: int, fields: dict[str, str], user_id: str = ""
    ) -> None:
        self.content: Final = _Content()
        self.size: Final = size
        self.fields = fields
        #: whether a run closes it
        self.is_kept = False
        self._budget = budget
        self._user_id = user_id
        self._loop = asyncio.get_running_loop()
        self._is_closed = False

    @property
    def has_file(self) -> bool:
        """Whether a file was chosen."""
        return bool(self.fields.get("name")) or bool(self.content.getbuffer().nbytes)

    @property
    def name(self) -> str:
        """The name of the file, of visible characters: the browser may send any."""
        return label_of_file(self.fields.get("name", "")) or "users"

    @property
    def form_key(self) -> str:
        """The key of the form that sent it; empty if it has none."""
        return self.fields.get("form_key") or self.fields.get("key", "")

    @property
    def format(self) -> str:
        """The format that the user chose, else the one of the name."""
        chosen = self.fields.get("format", "")
        return chosen if chosen in FORMATS else format_of(self.fields.get("name", ""))

    @property
    def columns(self) -> dict[str, str]:
        """The fields that the user chose for columns: see `ColumnChoices`."""
        lines = self.fields.get("columns", "").splitlines()
        pairs = (line.rpartition("=") for line in lines)
        return {column_name(name): field for name, _, field in pairs if field in ("", *FIELDS)}

    @property
    def sheet(self) -> str | None:
        """The sheet of a workbook that the user chose; None for the first one."""
        return self.fields.get("sheet") or None

    @property
    def encoding(self) -> str | None:
        """The encoding that the user chose for CSV that is not UTF-8; None for the likely one."""
        chosen = self.fields.get("encoding", "")
        return chosen if chosen in ENCODINGS else None

    @property
    def mail_links(self) -> bool:
        """Whether the users that cannot sign in yet are to get links by mail."""
        return self.fields.get("mail_links") == "yes"

    @property
    def accept_weak_hashes(self) -> bool:
        """Whether weak hashes of passwords are wrapped, and not refused."""
        return self.fields.get("accept_weak_hashes") == "yes"

    @property
    def if_exists(self) -> str:
        """`skip` or `fail`."""
        return "skip" if self.fields.get("if_exists") == "skip" else "fail"

    def is_same_as(self, other: "Upload") -> bool:
        """Whether both have the same octets and are read in the same way; both must be open."""
        readings = [(one.format, one.columns, one.sheet, one.encoding) for one in (self, other)]
        return readings[0] == readings[1] and self.content.getvalue() == other.content.getvalue()

    def close(self) -> None:
        """Let the file go, and give its memory back; from any thread."""
        if self._is_closed:
            return
        self._is_closed = True
        self.content.close()
        if not self._loop.is_closed():
            give_back = partial(self._budget.give_back, self.size, self._user_id)
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(give_back()))
