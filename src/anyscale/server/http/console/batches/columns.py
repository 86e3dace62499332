"""The columns of a table in a form: the field of each can be chosen, and one is proposed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from anyscale.domain.phrases import listed, quantity
from anyscale.domain.validation import NAMED_FIELDS
from anyscale.errors import Problem
from anyscale.server.background.counted_file import CountedFile
from anyscale.server.http.web.console_page import Problem as PageProblem
from anyscale.server.http.web.forms import sentence
from anyscale.users_file.tables.columns import Column, ColumnChoices
from anyscale.users_file.tables.header import column_name

#: field -> its name on pages
FIELD_LABELS: Mapping[str, str] = {
    "name": "Name or first name",
    "lastname": "Last name",
    "email": "Email",
    "title": "Title",
    "external_id": "Personnel number",
    "password": "Password",
    "is_sso_user": "Signs in by single sign-on",
    "password_hash": "Hash of a password",
    "suspended": "Is suspended",
    "password_initial": "Has to choose a password",
    "sub": "Id for applications",
}

#: the problems that the choices of columns mend
COLUMN_CODES = frozenset({"columns", "duplicate_key"})

#: columns that a page lists: more of them are read as the program proposes
_MOST = 200

#: columns that a sentence names
_NAMED = 5


class ShownTable(Struct, frozen=True):
    """How a table is read, and what can be chosen instead."""

    #: of a workbook; the choice is one of them, or empty for the first one
    sheets: Sequence[str]
    sheet: str
    #: of CSV that is not UTF-8; else empty
    encoding: str
    #: up to three names with other letters than ASCII, as they are read in the encoding
    names: str
    #: none if the first row may be a user's
    columns: Sequence[Column]
    #: field -> label
    fields: Mapping[str, str]
    #: whether a column shows no values, since it may have secrets
    hides_values: bool
    #: which columns are left out, as a sentence; empty if none is
    left_out: str


def shown_table(file: CountedFile) -> ShownTable | None:
    """Return how a file is read, after it was read; None if it is not a table."""
    if not file.format.is_table:
        return None
    columns = file.choices.columns[:_MOST]
    used = {column.field for column in columns}
    labels = {
        field: label
        for field, label in FIELD_LABELS.items()
        if field in NAMED_FIELDS or field in used
    }
    return ShownTable(
        sheets=file.notes.sheets if len(file.notes.sheets) > 1 else (),
        sheet=file.sheet or "",
        encoding=file.encoding or "",
        names=", ".join(file.other_names),
        columns=columns,
        fields=labels,
        hides_values=not all(column.values for column in columns),
        left_out=_left_out(file.choices),
    )


def column_problems(choices: ColumnChoices, problems: Iterable[Problem]) -> list[PageProblem]:
    """Return the problems that choices of columns mend, for the top of a page with `columns`."""
    found = [problem for problem in problems if problem.code in COLUMN_CODES]
    if not found or not choices.columns:
        return [(sentence(problem.detail), "file") for problem in found]
    texts = [
        f"No column is read as {FIELD_LABELS[field]}: choose it in the table of columns."
        for field in ("name", "email")
        if field not in choices.chosen.values()
    ]
    by_field: dict[str, list[str]] = {}
    for column in choices.columns:
        by_field.setdefault(column.field, []).append(column.header)
    texts += [
        f"{_listed(headers)} are read as {FIELD_LABELS[field]}: choose one of them."
        for field, headers in by_field.items()
        if field and len(headers) > 1
    ]
    count = Counter(map(column_name, choices.header))
    texts += [
        f"The file has {count[name]} columns that are named {column.header}: rename or remove one."
        for column in choices.columns
        if count[name := column_name(column.header)] > 1 and column.field
    ]
    return [(text, "columns") for text in texts or [sentence(found[0].detail)]]


def _left_out(choices: ColumnChoices) -> str:
    headers = [column.header for column in choices.columns if not column.field]
    if choices.nameless:
        headers.append(f"{quantity(choices.nameless, 'column')} without a heading")
    if not headers:
        return ""
    is_one = len(headers) == 1 and choices.nameless in (0, 1)
    return f"{_listed(headers)} {'is' if is_one else 'are'} left out."


def _listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return listed(names)
