"""The plan of a sync, as its page shows it: what would change, and what has to be confirmed."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from msgspec import Struct

from anyscale.comparison.answers import can_differ, option_of
from anyscale.comparison.former_emails import REUSE_FOR_ACCOUNT
from anyscale.comparison.possible_pairs import possible_pairs
from anyscale.comparison.sync_limits import count_unidentified, exceeded_limits
from anyscale.comparison.sync_options import SyncOptions
from anyscale.domain.conflicts import REUSE
from anyscale.domain.models.sync import (
    LookAlike,
    Question,
    QuestionKind,
    SyncPlan,
    SyncStep,
)
from anyscale.server.background.file_sync import ANSWER, KINDS, FileSync, OpenQuestion, plan_digest
from anyscale.server.http.console.batches.columns import FIELD_LABELS
from anyscale.server.http.web.console_page import Problem
from anyscale.server.http.web.records_file import RecordsFile, Rows

#: people of a kind that the page shows; the download has all
_SHOWN = 50

#: rows that are sent at once
_ROWS = 1_000


class _Words(NamedTuple):
    """Words about a kind of steps."""

    #: what its people are, for one and for many
    one: str
    many: str
    #: of the box that includes it; empty for what is not done
    box: str
    hint: str


_WORDS: Mapping[str, _Words] = {
    "create": _Words(
        "new person",
        "new people",
        "Create their accounts",
        "They are in the file and have no account. Passwords of the file are not set: the next "
        "page offers links.",
    ),
    "correct": _Words(
        "person with other details",
        "people with other details",
        "Change the details to those of the file",
        "An empty cell of the file clears a detail; leave out a column to keep what the accounts "
        "have.",
    ),
    "suspend": _Words(
        "person who is not in the file",
        "people who are not in the file",
        "Suspend their accounts",
        "They cannot sign in any more, and are signed out. Nothing of them is deleted.",
    ),
    "restore": _Words(
        "person who is back",
        "people who are back",
        "Restore their accounts",
        "An earlier update suspended them, and they are in the file again. They sign in as before.",
    ),
    "blocked": _Words(
        "person who has to wait",
        "people who have to wait",
        "",
        "This cannot be done yet. If the file has an email that its person no longer uses, write "
        "the present one into it.",
    ),
    "left": _Words(
        "account that stays as it is",
        "accounts that stay as they are",
        "",
        "The file says something else, and is not followed.",
    ),
}

#: in the download
_DONE: Mapping[str, str] = {
    "questions": "ask",
    "create": "create",
    "correct": "change",
    "suspend": "suspend",
    "restore": "restore",
    "blocked": "wait",
    "left": "leave",
}

PLAN_FILE = RecordsFile(
    "plan", "csv", ("action", "name", "email", "line", "changes", "reason", "user_id")
)

_WHY: Mapping[QuestionKind, str] = {
    "other_person": "The name or the number says that it may be another person.",
    "renumbered": "Only the number is another one.",
    "returned": "An update suspended the account, and its name, email or number is another one.",
    "two_accounts": "The number is that of this account, and the email that of another one. "
    "Correct the file, or one of the accounts.",
    "look_alike": "The account is not in the file, and the name is the same: an email may be "
    "mistyped or new. If the email is new, edit the account, and check the file again.",
    "lost_letters": "The name has a question mark, so a letter may be lost. Save the list as an "
    "Excel workbook or as CSV UTF-8.",
}

_CHANGED = (
    "Nothing was changed yet: the accounts, the file or your choices are not as they were when the "
    "plan was shown. Look at this plan, and confirm it."
)

_REPLACED = "accounts that get another name, email or number, or lose a detail or single sign-on"

_NAMELESS = (
    "Nobody is suspended while the file has people without an account and without a name: add "
    "their names, or leave the suspensions out."
)


class Change(Struct, frozen=True):
    """A detail that changes."""

    label: str
    old: str
    new: str


class ShownStep(Struct, frozen=True):
    """What would be done to a person."""

    name: str
    email: str
    #: empty without an account
    user_id: str
    line: int | None
    changes: Sequence[Change]
    reason: str


class ShownKind(Struct, frozen=True):
    """People of a kind."""

    kind: str
    words: _Words
    count: int
    rows: Sequence[ShownStep]
    is_chosen: bool

    @property
    def more(self) -> int:
        """How many the page does not show."""
        return self.count - len(self.rows)


class ShownQuestion(Struct, frozen=True):
    """An entry of which it is not sure who it is."""

    question: Question
    why: str
    #: the field of the answer
    field: str
    #: answers that can be given: value -> label
    answers: Mapping[str, str]
    changes: Sequence[Change]


class ShownPlan(Struct, frozen=True):
    """A plan, and what has to be confirmed."""

    name: str
    checked: int
    accounts: int
    #: entries whose accounts are as the file says
    unchanged: int
    kinds: Sequence[ShownKind]
    #: what is not done, with the reasons
    others: Sequence[ShownKind]
    #: stands for the steps
    digest: str
    is_cut: bool
    #: kind -> how many steps are to be typed
    to_type: Mapping[str, int]
    #: of whom it is not sure who they are: the first ones
    questions: Sequence[ShownQuestion]
    more_questions: int
    #: how many of all questions are about other numbers only
    renumbered: int
    #: perhaps one person each, with another name and another email
    possible_pairs: Sequence[LookAlike]
    nameless: int
    #: accounts to suspend that were created in the last 7 days
    suspend_recent: int
    #: domains of new emails that single sign-on refuses
    refused_domains: Sequence[str]
    notes: Sequence[str]

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return sum(kind.count for kind in self.kinds)


def shown_plan(run: FileSync, plan: SyncPlan) -> ShownPlan:
    """Return a plan as its page shows it."""
    return ShownPlan(
        name=run.file.name,
        checked=plan.checked,
        accounts=plan.accounts,
        unchanged=plan.checked - len(_entries_of(plan)),
        kinds=[_kind(name, plan, is_chosen=run.is_chosen(name)) for name in KINDS],
        others=[_kind(name, plan, is_chosen=False) for name in ("blocked", "left")],
        digest=plan_digest(plan),
        is_cut=run.file.may_be_cut,
        to_type={one.kind: one.count for one in exceeded_limits(plan, SyncOptions())},
        questions=list(map(_question, plan.questions[:_SHOWN])),
        more_questions=len(plan.questions[_SHOWN:]),
        renumbered=sum(one.kind == "renumbered" for one in plan.questions),
        possible_pairs=list(possible_pairs(plan)),
        nameless=count_unidentified(plan, create=True) if plan.suspend else 0,
        suspend_recent=plan.suspend_recent,
        refused_domains=run.refused_domains(plan),
        notes=run.file.notes.lines,
    )


def problems_of(questions: Sequence[OpenQuestion], plan: ShownPlan) -> list[Problem]:
    """Return what has to be confirmed, each with its field."""
    words: dict[OpenQuestion, Problem] = {
        "changed": (_CHANGED, ""),
        "cut": ("Say that the file is complete, or export it again.", "complete-yes"),
        "suspend": (_to_type(plan, "suspend", "accounts to suspend"), "suspend_count"),
        "correct": (_to_type(plan, "correct", _REPLACED), "correct_count"),
        "nameless": (_NAMELESS, "suspend-yes"),
        "nothing": ("Nothing is chosen that would change an account.", ""),
    }
    # Only this: the plan that the answers were about is not the one of the page.
    if "changed" in questions:
        return [words["changed"]]
    return [words[question] for question in questions]


async def plan_pages(plan: SyncPlan) -> AsyncIterator[Rows]:
    """Give the rows of the whole plan, page by page."""
    every = ((kind, step) for kind in _DONE for step in getattr(plan, kind))
    rows: Rows = [_row(*one) for one in islice(every, _ROWS)]
    yield rows
    while rows := [_row(*one) for one in islice(every, _ROWS)]:
        yield rows


def _row(kind: str, step: SyncStep | Question) -> dict[str, Any]:
    changes = (
        f"{one.label}: {one.old or 'empty'} -> {one.new or 'empty'}" for one in _changes(step)
    )
    return {
        "action": _DONE[kind],
        "name": step.name,
        "email": step.email,
        "line": step.line or "",
        "changes": "; ".join(changes),
        "reason": step.reason,
        "user_id": step.user_id or "",
    }


def _question(one: Question) -> ShownQuestion:
    answers = {"": "Leave as it is"}
    if option_of(one):
        answers["same"] = "The same person"
    if one.kind == "lost_letters":
        answers["differ"] = "The name is right"
    elif can_differ(one):
        answers["differ"] = "Two people"
    field = f"{ANSWER}{one.change}" if len(answers) > 1 else ""
    return ShownQuestion(one, _WHY[one.kind], field, answers, list(_changes(one)))


def _to_type(plan: ShownPlan, kind: str, what: str) -> str:
    count = plan.to_type.get(kind, 0)
    return f"Type {count:,}, the number of {what}."


def _kind(kind: str, plan: SyncPlan, *, is_chosen: bool) -> ShownKind:
    steps: Sequence[SyncStep] = getattr(plan, kind)
    return ShownKind(kind, _WORDS[kind], len(steps), list(map(_shown, steps[:_SHOWN])), is_chosen)


def _shown(step: SyncStep) -> ShownStep:
    return ShownStep(
        step.name, step.email, step.user_id or "", step.line, list(_changes(step)), _why(step)
    )


def _why(step: SyncStep) -> str:
    """Return the reason of a step without the commands that would change it."""
    return step.reason.removesuffix(f": {REUSE}").removesuffix(f": {REUSE_FOR_ACCOUNT}")


def _changes(step: SyncStep | Question) -> Iterator[Change]:
    """Iterate over the details of an account that change; none of a new one."""
    if not step.changes or not step.replaced:
        return
    new, old = step.changes.to_dict(), step.replaced.to_dict()
    for field, label in FIELD_LABELS.items():
        if field in new:
            yield Change(label, _text(old[field]), _text(new[field]))


def _text(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value or ""


def _entries_of(plan: SyncPlan) -> set[int | None]:
    """Return the entries of which the plan says something."""
    steps = chain(plan.create, plan.correct, plan.restore, plan.left, plan.blocked)
    asked = {question.index for question in plan.questions}
    return ({step.index for step in steps} | asked) - {None}
