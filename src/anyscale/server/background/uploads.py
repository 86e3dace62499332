"""Users files of browsers. They are kept only in memory, since they may contain passwords."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from anyscale.domain.labels import label_of_file
from anyscale.domain.validation import FIELDS
from anyscale.errors import Overloaded, RequestInvalid
from anyscale.users_file import FORMATS, format_of
from anyscale.users_file.tables.header import column_name

MIB = 1024 * 1024

#: Octets of files that a process holds: large ones, and those up to a MiB, which have memory of
#: their own, so that long runs of large files lock nobody out.
_LARGE, _SMALL = 120 * MIB, 8 * MIB
_SMALL_FILE = MIB + 64 * 1024

#: seconds that a request waits for memory, and for its turn
_WAIT_SECONDS = 30.0
_RETRY_SECONDS = 30.0

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

_FULL = "The server works on other large files. Your file was not read: try again in a moment."
_GONE = "the request was given up"


class MemoryBudget:
    """The memory for files of a process. It belongs to the event loop."""

    def __init__(self, small: int = _SMALL) -> None:
        self._free = {False: _LARGE, True: small}
        self._shares = {False: _LARGE // 2, True: small // 2}
        #: by account, and whether they are small: the octets of its files
        self._taken = Counter[tuple[str, bool]]()
        self._changed = asyncio.Condition()
        # Two checks at a time, so that they leave threads to other requests that read. Small files
        # do not wait for large ones.
        self._turns = {False: asyncio.Semaphore(2), True: asyncio.Semaphore(2)}

    async def take(self, size: int, user_id: str) -> None:
        """Take so many octets for a user, as soon as they are free.

        A user has one file, or as many as fit into half of the memory.

        Raises:
            Overloaded: there was none for 30 seconds.
        """
        is_small = size <= _SMALL_FILE
        try:
            async with asyncio.timeout(_WAIT_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._is_free(size, user_id))
                self._free[is_small] -= size
                self._taken[user_id, is_small] += size
        except TimeoutError:
            raise Overloaded(_FULL, _RETRY_SECONDS) from None

    def _is_free(self, size: int, user_id: str) -> bool:
        is_small = size <= _SMALL_FILE
        taken = self._taken[user_id, is_small]
        is_allowed = not taken or taken + size <= self._shares[is_small]
        return is_allowed and self._free[is_small] >= size

    async def give_back(self, size: int, user_id: str) -> None:
        """Give octets back."""
        is_small = size <= _SMALL_FILE
        async with self._changed:
            self._free[is_small] += size
            self._taken[user_id, is_small] -= size
            self._taken += Counter()  # drops those that are 0
            self._changed.notify_all()

    @asynccontextmanager
    async def turn(self, upload: "Upload") -> AsyncIterator[None]:
        """Wait for a turn to check a file.

        Raises:
            Overloaded: there was none for 30 seconds.
        """
        turns = self._turns[upload.size <= _SMALL_FILE]
        try:
            await asyncio.wait_for(turns.acquire(), _WAIT_SECONDS)
        except TimeoutError:
            raise Overloaded(_FULL, _RETRY_SECONDS) from None
        try:
            yield
        finally:
            turns.release()


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
