"""The problems of a file in the words of its page: the line or cell, the person, what is wrong."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from anyscale.errors import Problem
from anyscale.server.background.counted_file import Person
from anyscale.server.http.console.batches.columns import FIELD_LABELS

#: an account has the email or the number: the person can be skipped
EXISTS = frozenset({"email_exists", "external_id_exists"})

#: code -> the kind of the problem; another code is its own words
_KINDS: Mapping[str, str] = {
    "blank": "Only blanks",
    "cells": "Number of cells",
    "character": "Forbidden character",
    "damaged": "Damaged letters",
    "email_duplicate": "The same email twice",
    "email_freed": "Email of a former account",
    "email_invalid": "Invalid email address",
    "email_reserved": "Email of an unfinished import",
    "external_id_duplicate": "The same personnel number twice",
    "external_id_reserved": "Personnel number of an unfinished import",
    "manifest_wrong": "Changed export",
    "password_common": "Common password",
    "password_pattern": "Simple password",
    "password_personal": "Password with the name",
    "password_too_long": "Long password",
    "password_too_short": "Short password",
    "required": "Name or email is missing",
    "spreadsheet": "Damaged by the spreadsheet",
    "sso_only": "Other sign-in than single sign-on",
    "suspended": "Suspended in the export",
    "syntax": "Unreadable",
    "too_long": "Too long",
    "type": "Another kind of value",
    "unknown_key": "Unknown field",
}

#: code -> what is wrong, if the words of the command say what only a command can mend
_DETAILS: Mapping[str, str] = {
    "external_id_exists": "has an account already, with another email: edit the email there",
    "email_reserved": "is in an unfinished import: continue or cancel that",
    "external_id_reserved": "is in an unfinished import: continue or cancel that",
    "email_freed": "was the email of another account, and no other gets it for 30 days, since "
    "applications may know it: if it is the same person, delete the row",
}


class ShownProblem(Struct, frozen=True):
    """A problem, and who its row is."""

    #: the line, or the cell
    place: str
    #: the heading of the column, or the field
    column: str
    detail: str
    name: str
    email: str
    #: whether an account has the email of the entry
    is_by_email: bool

    @property
    def line(self) -> str:
        """The problem as a line of a text."""
        person = " ".join(filter(None, [self.name, self.email]))
        places = filter(None, [self.place, person and f"({person})", self.column])
        return f"{' '.join(places)}: {self.detail}".removeprefix(": ")


class ProblemWords(Struct, frozen=True):
    """The words for the problems of one file."""

    #: position -> who the entry is, and where
    people: Mapping[int, Person]
    #: field -> the heading of its column
    headers: Mapping[str, str]
    #: whether many entries may be in one line
    has_long_lines: bool = False

    def shown(self, problem: Problem) -> ShownProblem:
        """Return a problem in these words."""
        person = self.people.get(-1 if problem.index is None else problem.index, Person())
        field = problem.field or ""
        return ShownProblem(
            place=self._place(problem.line, problem.column, problem.cell),
            column=self.headers.get(field, FIELD_LABELS.get(field, field)),
            detail=self._detail(problem),
            name=person.name,
            email=person.email,
            is_by_email=problem.code == "email_exists",
        )

    def _place(self, line: int | None, column: int | None, cell: str | None) -> str:
        if cell or not line:
            return cell or ""
        return f"line {line}, character {column}" if self.has_long_lines else f"line {line}"

    def _detail(self, problem: Problem) -> str:
        if problem.other is None:
            detail = problem.detail.replace("use --accept-weak-hashes", "mark it below")
            return _DETAILS.get(problem.code, detail)
        first = self.people.get(problem.other, Person())
        who = f" ({first.name or first.email})" if first.name or first.email else ""
        return f"the same as in {self._place(first.line, first.column, first.cell)}{who}"


def kinds_in_words(codes: Counter[str]) -> Sequence[tuple[str, int]]:
    """Return the kinds of problems with their numbers, the most frequent first."""
    kinds = Counter[str]()
    for code, number in codes.items():
        kinds[_KINDS.get(code, code.replace("_", " ").capitalize())] += number
    return kinds.most_common()
