"""Read users files and the exports of other systems, from a path or from standard input.

`UsersFile` opens a file, and `FileReading` reads it once. A reader for each format (`yaml_reader`,
`json_reader`, `tables.csv_reader`, `ldif_reader` and so on) reads the text of `input_stream`, finds
the line and column of each value, and hands entries to `entry_collector`, which checks them and
collects the problems. The command, the SDK and the console use this package. It imports only
`domain` and `errors`.
"""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from msgspec import structs

from anyscale.domain.labels import label_of_file
from anyscale.domain.spreadsheets import cell_name
from anyscale.domain.struct_types import examine_structs
from anyscale.domain.validation import CheckedUser, Policy, shown
from anyscale.errors import BatchUnfinished, ConfigError, Problem
from anyscale.users_file.entry_collector import EntryCollector, Place
from anyscale.users_file.formats import FORMATS, Format, format_of
from anyscale.users_file.input_stream import CapturedInput, Fatal, InputStream
from anyscale.users_file.manifest import BESIDE, fault_of
from anyscale.users_file.reading_notes import ReadingNotes, lines_of
from anyscale.users_file.reading_options import ReadingOptions

if TYPE_CHECKING:
    from anyscale.users_file.tables.columns import ColumnChoices

__all__ = ["FORMATS", "STDIN", "FileReading", "Format", "UsersFile", "format_of"]

#: a reader: the text of a file -> the users of its entries, which it hands to the collector
Read = Callable[[InputStream, EntryCollector], Iterator[CheckedUser]]

#: the name of standard input on a command line
STDIN = "-"

#: errors of opening a manifest that does not exist, or whose name would be too long
_NO_MANIFEST = frozenset({errno.ENOENT, errno.ENAMETOOLONG})

#: bytes of the first line that are searched for names of columns
_MAX_HEADER = 1 << 12


def _reader(file_format: Format) -> Read:
    module, function = file_format.reader.split(":")
    reader: Read = getattr(import_module(f"{__name__}.{module}"), function)
    examine_structs()  # those of the reader
    return reader


def _unreadable(name: str, error: OSError) -> ConfigError:
    return ConfigError(f"cannot read {name}: {error.strerror}")


def _named_sheet(name: str | None) -> str | None:
    if name == "":
        raise ConfigError("the name of the sheet is empty: leave it out for the first visible one")
    return name


def _named_encoding(name: str | None) -> str | None:
    if name is None:
        return None
    from anyscale.users_file.tables.encodings import text_encoding

    return text_encoding(name)


class FileReading:
    """One reading of a users file: see `anyscale.domain.user_sources.Reading`."""

    def __init__(self, file: "UsersFile", policy: Policy, *, verify: bool) -> None:
        self._file = file
        self._policy = policy
        self._verify = verify
        self._entries = file.collector(policy, verify=verify)
        self.problems: Final = self._entries.problems

    def __iter__(self) -> Iterator[CheckedUser]:
        yield from self._file.users(self._entries)
        if suspects := self._entries.suspects():
            self._entries.add_duplicates(self._read_again(suspects))
        if self.problems:
            self._file.check_unchanged()  # else they may be of neither version
        self.problems.trim()

    def _read_again(self, positions: frozenset[int]) -> EntryCollector:
        """Read the file again for emails and external ids, which are not kept in memory."""
        again = self._file.collector(self._policy, positions, verify=self._verify)
        for _user in self._file.users(again):
            again.passwords.clear()
        return again

    def take_passwords(self) -> list[tuple[int, str]]:
        passwords, self._entries.passwords = self._entries.passwords, []
        return passwords

    def locate(self, problems: Iterable[Problem]) -> Iterable[Problem]:
        return map(self._located, problems)

    def _located(self, problem: Problem) -> Problem:
        if problem.index is None:
            return problem
        line, column = self._entries.place_of_email(problem.index)
        return structs.replace(
            problem,
            file=self._file.name,
            line=line,
            column=column,
            cell=cell_name(line, column) if self._file.format.is_workbook else None,
            person=None if self._file.format.has_key else "",
        )


class UsersFile:
    """A users file that can be read as often as needed.

    Input that can be read only once, such as standard input, is kept in memory as far as it was
    read, since its passwords must not be written to a disk.

    Args:
        stream: of the content; it must be seekable.
        file_format: one of `FORMATS`.
        path: with it another process can read the file again; None if none can.
        columns: of a table: the name of a column in lower case -> its field; "" leaves it out.
        sheet: of a workbook: the name of its sheet; None for the first visible one.
        encoding: of CSV, such as `windows-1252`; None for UTF-8.

    Raises:
        ConfigError: there is no such encoding, or the name of the sheet is empty.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        file_format: str,
        path: str | None = None,
        columns: Mapping[str, str] | None = None,
        sheet: str | None = None,
        encoding: str | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.format: Final = FORMATS[file_format]
        self._stream = stream
        self._source: InputStream | None = None
        self._columns = columns or {}
        self._sheet = _named_sheet(sheet)
        self._encoding = _named_encoding(encoding)
        #: chooses the fields of the columns of a table in place of `columns`, if it is set
        self.column_choices: ColumnChoices | None = None
        #: entries, once the file was read to its end
        self.entries: int = 0
        #: of the last reading
        self.notes: ReadingNotes = ReadingNotes()
        #: size in bytes and modification time in nanoseconds, which change with the file
        self.stamp: Final = self._current_stamp()

    @classmethod
    def open(
        cls,
        path: str,
        file_format: str | None = None,
        columns: Mapping[str, str] | None = None,
        sheet: str | None = None,
        encoding: str | None = None,
    ) -> Self:
        """Open a file by its path, or standard input for `-`.

        Raises:
            ConfigError: it cannot be opened, there is no such encoding, or the name of the sheet
                is empty.
        """
        sheet, encoding = _named_sheet(sheet), _named_encoding(encoding)  # before it is opened
        if path == STDIN:
            try:
                stream: BinaryIO = CapturedInput(sys.stdin.buffer)
            except (AttributeError, OSError):  # it is closed, or a folder
                raise ConfigError("standard input cannot be read") from None
            return cls(stream, "<stdin>", file_format or "yaml", None, columns, sheet, encoding)
        if not path:
            raise ConfigError("the name of the users file is empty")
        try:
            stream = open(path, "rb")  # noqa: SIM115, PTH123 - `close` closes it
            reopenable: str | None = path
            if not Path(path).is_file():  # a pipe: `-f <(generate)`
                stream, reopenable = CapturedInput(stream), None
        except OSError as error:
            raise _unreadable(path, error) from None
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        chosen = file_format or format_of(path)
        return cls(stream, name, chosen, reopenable, columns, sheet, encoding)

    @property
    def label(self) -> str | None:
        """The name of the file, by which people recognize it; None for input that has none."""
        return label_of_file(self.name) if self.path else None

    @property
    def may_be_cut(self) -> bool:
        """Whether the last reading found a CSV or YAML file whose last line has no end.

        What is left of a longer file may be valid.
        """
        return self.notes.may_be_cut

    def progress(self) -> tuple[int, int]:
        return self._source.total if self._source else 0, self.stamp[0]

    def collector(
        self, policy: Policy, keep: frozenset[int] = frozenset(), *, verify: bool
    ) -> EntryCollector:
        """Return a collector for one reading of this file."""
        options = ReadingOptions(
            self.name, policy, self.format, self._columns, self._sheet, self.column_choices, verify
        )
        return EntryCollector(options, keep)

    def reading(self, policy: Policy, *, verify: bool = False) -> FileReading:
        return FileReading(self, policy, verify=verify)

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        """Close the file at the end of a `with` statement."""
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def require_options(self, say: Callable[[str], str]) -> None:
        """Raise `ConfigError` if the caller has chosen what files of another format have.

        `say` returns how the caller says the format.
        """
        for what, value, has_it in (
            ("columns are", self._columns, attrgetter("is_table")),
            ("a sheet is", self._sheet, attrgetter("is_workbook")),
            ("an encoding is", self._encoding, attrgetter("has_encodings")),
        ):
            if value and not has_it(self.format):
                first, *others = filter(has_it, FORMATS.values())
                labels = " and ".join(one.label for one in (first, *others))
                raise ConfigError(
                    f"{what} chosen for {labels}, and {shown(self.name)} is read as "
                    f"{self.format.name.upper()}: use {say(first.name)} if it is {first.label}"
                )

    def check_unchanged(self) -> None:
        if self._current_stamp() != self.stamp:
            raise BatchUnfinished(f"{self.name} was changed while it was being read")

    def users(self, entries: EntryCollector) -> Iterator[CheckedUser]:
        """Read from the beginning into `entries`, up to the end or the first fatal problem.

        Raises:
            ConfigError: the file or its manifest cannot be read.
        """
        self._stream.seek(0)
        is_whole = self.format.is_whole
        self._source = InputStream(
            self._stream,
            self.name,
            None if is_whole else lambda: entries.all_entries,
            yaml=self.format.is_yaml,
            cells=self.format.is_workbook,
            encoding=self._encoding,
        )
        try:
            yield from _reader(self.format)(self._source, entries)
            self.entries = entries.count
            entries.notes.may_be_cut = not (is_whole or self._source.is_terminated)
            self._check_manifest(entries)
        except Fatal as error:
            entries.problems.add(self._hinted(error.problem, entries.options.required))
        except OSError as error:
            raise _unreadable(self.name, error) from None
        self.notes = entries.notes
        self.notes.lines = lines_of(entries.notes, entries.options)

    def _check_manifest(self, entries: EntryCollector) -> None:
        """Add a problem if the file is not what its manifest says."""
        if self.format.has_manifest_file and self.path:
            try:
                text = Path(self.path + BESIDE).read_text("utf-8", "replace")
                entries.take_manifest(text, Place(1, 1))
            except OSError as error:
                if error.errno not in _NO_MANIFEST:
                    raise _unreadable(self.name + BESIDE, error) from None
        if entries.notes.manifest:
            manifest, place = entries.notes.manifest
            if fault := fault_of(manifest, entries.count, self._stream):
                entries.problem(place, "manifest_wrong", f"the manifest {fault}")

    def _hinted(self, problem: Problem, required: Iterable[str]) -> Problem:
        """Add a hint if the file looks like CSV or JSON and has the name of another format."""
        if self.format.has_encodings and problem.code == "encoding" and not self._encoding:
            return structs.replace(problem, detail=problem.detail + self._encoding_hint())
        if not self.format.names_other_formats:
            return problem
        from anyscale.users_file.tables.csv_reader import looks_like_csv

        self._stream.seek(0)
        line = self._stream.readline(_MAX_HEADER).decode("utf-8-sig", "replace")
        is_json = line.lstrip().startswith("[")
        if is_json or looks_like_csv(line, required):
            kind = "JSON" if is_json else "CSV"
            hint = f"if the file is {kind}, use --format {kind.lower()}"
        elif problem.code == "top" and not self.name.lower().endswith(FORMATS["yaml"].endings):
            hint = "it was read as YAML: use --format if it is not"
        else:
            return problem
        return structs.replace(problem, detail=f"{problem.detail}; {hint}")

    def _encoding_hint(self) -> str:
        """Return the option for the encoding that the file may have."""
        from anyscale.users_file.tables.encodings import GUESSED_OCTETS, guess_encoding

        self._stream.seek(0)
        guess = guess_encoding(self._stream.read(GUESSED_OCTETS))
        if guess is None:
            return ""
        names = ", ".join(map(shown, guess.names))
        reads = f", which reads {names}" if names else ""
        return f", or add --encoding {guess.encoding}{reads}"

    def _current_stamp(self) -> tuple[int, int]:
        if isinstance(self._stream, CapturedInput):
            return 0, 0
        try:
            status = os.fstat(self._stream.fileno())
        except io.UnsupportedOperation:
            return self._stream.seek(0, io.SEEK_END), 0
        return status.st_size, status.st_mtime_ns
