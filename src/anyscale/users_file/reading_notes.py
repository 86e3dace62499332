"""Notes of a reading: what it recognized and what it passed over, and the lines that say so."""

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from anyscale.domain.validation import shown
from anyscale.users_file.reading_options import ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyscale.domain.models.exports import Manifest

_ADMINISTRATORS = "Administrators of the other system, who arrive as collaborators"


class Place(NamedTuple):
    """A position in the file, both counted from 1."""

    line: int
    column: int


class ReadingNotes:
    """What a reading has recognized and passed over so far."""

    def __init__(self) -> None:
        #: valid users with blanks around a text, and the line of the first one's email
        self.padded: int = 0
        self.first_padded: int = 0
        #: the visible sheets of a workbook; without a chosen one the first is read
        self.sheets: list[str] = []
        #: header -> field, of the columns of a table that are recognized by another name
        self.recognized_columns: dict[str, str] = {}
        #: problems of columns without a name, for which no field can be chosen
        self.nameless_columns: int = 0
        #: header -> field, or "" to leave it out: the choices that mend the header of a table
        self.proposed_choices: Mapping[str, str] = {}
        #: kind -> entries of another system that are not users, and were passed over
        self.left_out: Counter[str] = Counter()
        #: kind -> what belongs to entries, and was passed over
        self.belongings: Counter[str] = Counter()
        #: administrators of the other system
        self.administrators: int = 0
        #: valid users who are suspended
        self.suspended: int = 0
        #: those of them that a directory has locked out, maybe only temporarily
        self.locked_out: int = 0
        #: the fields that only the server sets, in order
        self.passed_over: dict[str, None] = {}
        #: of an export, and its place
        self.manifest: tuple[Manifest, Place] | None = None
        #: whether an entry has a `sub`, as those of exports have
        self.is_exported: bool = False
        #: whether the last line has no end, so that the file may be a part of a longer one
        self.may_be_cut: bool = False
        #: all of it for the user of the file, once the reading has ended
        self.lines: list[str] = []


def lines_of(notes: ReadingNotes, options: ReadingOptions) -> list[str]:
    """Say in a line each what was recognized, what was passed over, and what may be missing."""
    columns = ", ".join(f"{shown(name)} as {to}" for name, to in notes.recognized_columns.items())
    fields = ", ".join(notes.passed_over)
    named = notes.sheets if options.sheet is None else []
    first, *sheets = map(shown, named or [""])
    only = f"Only the sheet {first} is read"
    are_roles = "permission_level" in notes.passed_over and not options.verify
    roles = " All users arrive as collaborators." if are_roles else ""
    left_out = ", ".join(f"{kind} ({number:,})" for kind, number in notes.left_out.items())
    belongings = {kind: number for kind, number in notes.belongings.items() if number}
    others = ", ".join(f"{kind} ({number:,})" for kind, number in belongings.items())
    users = "1 user has" if notes.padded == 1 else f"{notes.padded:,} users have"
    row = "row" if options.format.is_workbook else "line"
    padded = f"{users} blanks around a text, which are kept: the first in {row} "
    return [
        *([f"{padded}{notes.first_padded}."] if notes.padded else []),
        *([f"{only}, and not {', '.join(sheets)}: choose one to read it."] if sheets else []),
        *([f"Columns of {options.file} are read as fields: {columns}."] if columns else []),
        *([f"Passed over as entries: {left_out}."] if left_out else []),
        *([f"Passed over, since they do not arrive: {others}."] if others else []),
        *([f"{_ADMINISTRATORS}: {notes.administrators:,}."] if notes.administrators else []),
        *_note_of_suspended(notes, options),
        *([f"Passed over, since only the server sets them: {fields}.{roles}"] if fields else []),
        *_note_of_end(notes, options),
    ]


def _note_of_suspended(notes: ReadingNotes, options: ReadingOptions) -> list[str]:
    if options.verify or not notes.suspended:
        return []
    locked = notes.locked_out
    were = "1 of them was" if locked == 1 else f"{locked:,} of them were"
    more = f"; {were} locked out after wrong passwords, and that may be over" if locked else ""
    users = f"Users who are suspended in {options.file}, and arrive so"
    return [f"{users}: {notes.suspended:,}{more}."]


def _note_of_end(notes: ReadingNotes, options: ReadingOptions) -> list[str]:
    if options.verify:
        return []
    if notes.may_be_cut:
        return [f"The last line of {options.file} has no end: check that the file is complete."]
    if notes.is_exported and not notes.manifest:
        lack = "has the fields of an export, and no manifest"
        return [f"{options.file} {lack}: check that the file is complete."]
    return []
