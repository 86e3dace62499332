"""A users file: YAML, JSON, JSON Lines or CSV, from a path or from standard input."""

import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from msgspec import structs

from anyscale.errors import BatchUnfinished, ConfigError, Problem
from anyscale.user.files.entry_collector import Entries
from anyscale.user.files.input_stream import Fatal, InputStream
from anyscale.user.validation import CheckedUser, Policy

__all__ = ["FORMATS", "STDIN", "Reading", "UsersFile"]

#: The formats, and the endings of the names of files in them.
FORMATS = {
    "yaml": (".yaml", ".yml"),
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson"),
    "csv": (".csv",),
}

#: The name of standard input on a command line, and in a problem.
STDIN = "-"
STDIN_NAME = "<stdin>"

#: bytes of a first line that are looked at for the names of columns
_MAX_HEADER = 1 << 12


def format_of(name: str) -> str:
    """Tell a file's format by its name: YAML unless the name says otherwise."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name, which need not be a path
    return next((found for found, endings in FORMATS.items() if ending in endings), "yaml")


class Reading:
    """One reading of a users file: iterate over it for the users in whom nothing is wrong.

    Afterwards `problems` holds everything that is wrong, in the order of the file.
    """

    def __init__(self, file: "UsersFile", policy: Policy) -> None:
        self._file = file
        self._entries = Entries(file.name, policy, file.read_into)

    def __iter__(self) -> Iterator[CheckedUser]:
        yield from self._file.users(self._entries)
        self._entries.settle()

    @property
    def problems(self) -> list[Problem]:
        """What is wrong, as far as was read."""
        return self._entries.problems

    def take_passwords(self) -> list[tuple[int, str]]:
        """Return the passwords of the users read since the last call, with their positions."""
        passwords, self._entries.passwords = self._entries.passwords, []
        return passwords

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Add to problems that the control plane found where in the file they stand."""
        return [self._located(problem) for problem in problems]

    def _located(self, problem: Problem) -> Problem:
        if problem.index is None:
            return problem
        line, column = self._entries.place_of_email(problem.index)
        return structs.replace(problem, file=self._file.name, line=line, column=column)


class UsersFile:
    """A users file that can be read as often as needed.

    What can be read only once, such as standard input, is kept in memory: its passwords must not
    be written anywhere.
    """

    def __init__(
        self, stream: BinaryIO, name: str, file_format: str, path: str | None = None
    ) -> None:
        self.name = name
        #: Where it can be read again by another process; None if it cannot.
        self.path = path
        self.format = file_format
        self._stream = stream
        self._source: InputStream | None = None
        self._stamp = self._now()

    @classmethod
    def open(cls, path: str, file_format: str | None = None) -> Self:
        """Open a file by its path, or standard input by `-`.

        Raises:
            ConfigError: it cannot be opened.
        """
        if path == STDIN:
            import sys

            try:
                stream: BinaryIO = io.BytesIO(sys.stdin.buffer.read())
            except (AttributeError, OSError):  # it is closed, or a folder
                raise ConfigError("standard input cannot be read") from None
            return cls(stream, STDIN_NAME, file_format or "yaml")
        try:
            stream = open(path, "rb")  # noqa: SIM115, PTH123 - `close` closes it
            again: str | None = path
            if not Path(path).is_file():  # a pipe: `-f <(generate)`
                with stream:
                    stream, again = io.BytesIO(stream.read()), None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        return cls(stream, name, file_format or format_of(path), again)

    @property
    def stamp(self) -> tuple[int, int]:
        """Size in bytes and modification time in nanoseconds, by which a change is seen."""
        return self._stamp

    def progress(self) -> tuple[int, int]:
        """Say how many bytes of how many the current reading has read."""
        return self._source.total if self._source else 0, self._stamp[0]

    def reading(self, policy: Policy) -> Reading:
        """Begin to read from the start."""
        return Reading(self, policy)

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def check_unchanged(self) -> None:
        """Make sure that what was read twice was read from the same text.

        Raises:
            BatchUnfinished: the file was changed meanwhile.
        """
        if self._now() != self._stamp:
            raise BatchUnfinished(f"{self.name} was changed while it was being read")

    def read_into(self, entries: Entries) -> None:
        """Read the whole file for what it leaves in `entries`."""
        for _user in self.users(entries):
            entries.passwords.clear()

    def users(self, entries: Entries) -> Iterator[CheckedUser]:
        """Read from the start into `entries`, up to the end or the first fatal problem."""
        self._stream.seek(0)
        bounded: Callable[[], int] | None = lambda: entries.count  # noqa: E731
        if self.format in ("json", "jsonl"):  # whose reader bounds an entry by itself
            bounded = None
        self._source = InputStream(self._stream, self.name, bounded, yaml=self.format == "yaml")
        try:
            yield from self._read(self._source, entries)
        except Fatal as error:
            entries.problems.append(self._hinted(error.problem))

    def _read(self, source: InputStream, entries: Entries) -> Iterator[CheckedUser]:
        if self.format == "yaml":
            from anyscale.user.files.yaml_reader import read_yaml as read
        elif self.format == "json":
            from anyscale.user.files.json_reader import read_json as read
        elif self.format == "jsonl":
            from anyscale.user.files.json_reader import read_jsonl as read
        else:
            from anyscale.user.files.csv_reader import read_csv as read
        return read(source, entries)

    def _hinted(self, problem: Problem) -> Problem:
        """Add the way out for CSV that was taken as YAML, as under a name like users.txt."""
        if self.format != "yaml" or not self._begins_like_csv():
            return problem
        detail = f"{problem.detail}; if the file is CSV, say --format csv"
        return structs.replace(problem, detail=detail)

    def _begins_like_csv(self) -> bool:
        from anyscale.user.files.csv_reader import looks_like_csv

        self._stream.seek(0)
        return looks_like_csv(self._stream.readline(_MAX_HEADER).decode("utf-8-sig", "replace"))

    def _now(self) -> tuple[int, int]:
        try:
            found = os.fstat(self._stream.fileno())
        except io.UnsupportedOperation:
            return self._stream.seek(0, io.SEEK_END), 0
        return found.st_size, found.st_mtime_ns
