"""A users file that counts its users, and keeps the first ones to be shown, without passwords."""

from array import array
from codecs import getincrementaldecoder
from collections.abc import Collection, Iterator
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from msgspec import structs

from anyscale.domain.names import full_name
from anyscale.domain.spreadsheets import cell_name
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.server.background.upload import Upload
from anyscale.users_file import UsersFile
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.tables.columns import ColumnChoices
from anyscale.users_file.tables.encodings import GUESSED_OCTETS, guess_encoding

#: users that a page shows, and names of an encoding
_FIRST, _NAMES = 20, 3

#: octets that are decoded at once
_PIECE = 1 << 20


def _is_utf8(stream: BinaryIO) -> bool:
    """Return whether a file is UTF-8 as far as it is complete."""
    decoder, is_ascii = getincrementaldecoder("utf-8")(), True
    stream.seek(0)
    try:
        for piece in iter(partial(stream.read, _PIECE), b""):
            is_ascii &= decoder.decode(piece).isascii()
    except UnicodeDecodeError:
        return False
    rest, _state = decoder.getstate()
    return not (is_ascii and rest)  # a last octet by itself is a letter of another encoding


class Person(NamedTuple):
    """Who an entry is, as far as it is right, and where."""

    name: str = ""
    email: str = ""
    line: int | None = None
    column: int | None = None
    cell: str | None = None


class CountedFile(UsersFile):
    """A file of a browser, read by the readers of the command, but for the columns of a table.

    Those that stand for no field are left out, unless the form says otherwise.
    """

    def __init__(self, upload: Upload) -> None:
        super().__init__(upload.content, upload.name, upload.format, sheet=upload.sheet)
        self.sheet = upload.sheet
        #: of the latest reading
        self.choices: Final = ColumnChoices(upload.columns)
        self.column_choices = self.choices
        #: of CSV that is not UTF-8: the one that the form chose, or the most likely one
        self.encoding: str | None = None
        self._wanted_encoding = upload.encoding
        self._start()

    def _start(self) -> None:
        self.users_read: int = 0
        self.with_password: int = 0
        self.by_sso: int = 0
        #: A-labels of the emails of those
        self.sso_domains: set[str] = set()
        self.first: list[CheckedUser] = []
        #: the first names in an `encoding` that have other letters than ASCII
        self.other_names: list[str] = []
        #: positions of the users who could not sign in
        self.without: array[int] = array("I")

    def users(self, entries: EntryCollector) -> Iterator[CheckedUser]:
        """Read the file as `UsersFile.users` does, and count its users.

        Those that are compared with their accounts are not counted: they need not have all fields.
        """
        self._start()
        self._choose_encoding()
        for user in super().users(entries):
            if not entries.options.verify:
                self._count(user, entries.count - 1)
            self._note_name(user)
            yield user

    def _count(self, user: CheckedUser, position: int) -> None:
        if len(self.first) < _FIRST:
            self.first.append(structs.replace(user, password_hash=None))
        if user.has_password:
            self.with_password += 1
        elif not user.is_sso_user:
            self.without.append(position)
        if user.is_sso_user:
            self.by_sso += 1
            self.sso_domains.add(user.email_key.rpartition("@")[2])
        self.users_read += 1

    def _note_name(self, user: CheckedUser) -> None:
        if self.encoding and user.name and len(self.other_names) < _NAMES:  # UNSET is false
            name = full_name(user.name, user.lastname or None)
            self.other_names += [] if name.isascii() else [name]

    def _choose_encoding(self) -> None:
        if self.encoding or not self.format.has_encodings or _is_utf8(self._stream):
            return
        self._stream.seek(0)
        guess = guess_encoding(self._stream.read(GUESSED_OCTETS))
        self.encoding = self._wanted_encoding or (guess.encoding if guess else None)
        self._encoding = self.encoding

    def people_at(
        self, positions: Collection[int], policy: Policy, *, verify: bool = False
    ) -> dict[int, Person]:
        """Read the file again for the names and emails at some positions; wrong ones are empty.

        `verify` is that of `UsersFile.reading`.
        """
        if not positions:
            return {}
        entries = self.collector(policy, frozenset(positions), verify=verify)
        names = entries.refused_names
        for user in super().users(entries):
            entries.passwords.clear()
            if (position := entries.count - 1) in positions:
                names[position] = full_name(user.name or "", user.lastname or None)
        return {
            position: Person(
                names.get(position, ""),
                entries.kept.get(position, ("", ""))[0],
                *self._place_in(entries, position),
            )
            for position in positions
        }

    def _place_in(
        self, entries: EntryCollector, position: int
    ) -> tuple[int | None, int | None, str | None]:
        if position >= entries.count:  # the reading has stopped before it
            return None, None, None
        line, column = entries.place_of_email(position)
        return line, column, cell_name(line, column) if self.format.is_workbook else None
