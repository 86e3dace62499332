"""What a reading recognized and passed over, in words for the user of the file."""

from anyscale.domain.validation import shown
from anyscale.users_file.entry_collector import EntryCollector

__all__ = ["notes_of"]

_ADMINISTRATORS = "Administrators of the other system, who arrive as collaborators"


def notes_of(entries: EntryCollector, *, may_be_cut: bool) -> list[str]:
    """Say in a line each what was recognized, what was passed over, and what may be missing."""
    columns = ", ".join(f"{shown(name)} as {to}" for name, to in entries.recognized_columns.items())
    fields = ", ".join(entries.passed_over)
    named = entries.sheets if entries.chosen_sheet is None else []
    first, *sheets = map(shown, named or [""])
    only = f"Only the sheet {first} is read"
    are_roles = "permission_level" in entries.passed_over and not entries.verify
    roles = " All users arrive as collaborators." if are_roles else ""
    left_out = ", ".join(f"{kind} ({number:,})" for kind, number in entries.left_out.items())
    belongings = {kind: number for kind, number in entries.belongings.items() if number}
    others = ", ".join(f"{kind} ({number:,})" for kind, number in belongings.items())
    users = "1 user has" if entries.padded == 1 else f"{entries.padded:,} users have"
    row = "row" if entries.has_cells else "line"
    padded = f"{users} blanks around a text, which are kept: the first in {row} "
    return [
        *([f"{padded}{entries.first_padded}."] if entries.padded else []),
        *([f"{only}, and not {', '.join(sheets)}: choose one to read it."] if sheets else []),
        *([f"Columns of {entries.file} are read as fields: {columns}."] if columns else []),
        *([f"Passed over as entries: {left_out}."] if left_out else []),
        *([f"Passed over, since they do not arrive: {others}."] if others else []),
        *([f"{_ADMINISTRATORS}: {entries.administrators:,}."] if entries.administrators else []),
        *_note_of_suspended(entries),
        *([f"Passed over, since only the server sets them: {fields}.{roles}"] if fields else []),
        *_note_of_end(entries, may_be_cut=may_be_cut),
    ]


def _note_of_suspended(entries: EntryCollector) -> list[str]:
    if entries.verify or not entries.suspended:
        return []
    locked = entries.locked_out
    were = "1 of them was" if locked == 1 else f"{locked:,} of them were"
    more = f"; {were} locked out after wrong passwords, and that may be over" if locked else ""
    users = f"Users who are suspended in {entries.file}, and arrive so"
    return [f"{users}: {entries.suspended:,}{more}."]


def _note_of_end(entries: EntryCollector, *, may_be_cut: bool) -> list[str]:
    if entries.verify:
        return []
    if may_be_cut:
        return [f"The last line of {entries.file} has no end: check that the file is complete."]
    if entries.is_exported and not entries.manifest:
        lack = "has the fields of an export, and no manifest"
        return [f"{entries.file} {lack}: check that the file is complete."]
    return []
