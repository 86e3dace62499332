"""The result of a check, as its page shows it: what would be created, or what is wrong."""

from collections import Counter
from collections.abc import Sequence

from litestar import Response
from msgspec import Struct

from anyscale.batch_run.outcome import Outcome
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused
from anyscale.server.background.file_import import FileImport
from anyscale.server.background.file_run import FileRun
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.http.console.batches.columns import COLUMN_CODES
from anyscale.server.http.console.batches.problem_words import (
    EXISTS,
    ProblemWords,
    ShownProblem,
    kinds_in_words,
)
from anyscale.server.store.words import fold

#: problems that a page shows; the text has more
_SHOWN = 1_000

#: problems that are shown at once
_GROUP = 50


class ShownUser(Struct, frozen=True):
    """A user without the password."""

    user: CheckedUser
    position: int
    signs_in_by: str
    is_skipped: bool


class GoodFile(Struct, frozen=True):
    """A file whose users can be created."""

    name: str
    users: int
    created: int
    skipped: int
    suspended: int
    with_password: int
    by_sso: int
    #: domains of their emails that single sign-on refuses
    refused_domains: Sequence[str]
    without: int
    first: Sequence[ShownUser]
    notes: Sequence[str]


class ExistingPerson(Struct, frozen=True):
    """A row whose person has an account already."""

    problem: ShownProblem
    #: the name of the account
    account: str

    @property
    def has_other_name(self) -> bool:
        """Whether the account may be that of another person."""
        return self.problem.is_by_email and fold(self.account) != fold(self.problem.name)


class WrongFile(Struct, frozen=True):
    """A file that was refused."""

    name: str
    #: problems of the file itself, and the rows that have them
    count: int
    rows: int
    kinds: Sequence[tuple[str, int]]
    groups: Sequence[Sequence[ShownProblem]]
    #: people who have accounts already, those of other names first, and how many they are
    existing: Sequence[ExistingPerson]
    existing_count: int
    #: problems and people that the page does not show
    more: int
    notes: Sequence[str]
    has_cells: bool


def good_file(run: FileImport, outcome: Outcome) -> GoodFile:
    """Return the result of a check that found nothing wrong."""
    skipped = {conflict.position for conflict in outcome.skipped_entries()}
    file = run.file
    return GoodFile(
        name=file.name,
        users=file.users_read,
        created=outcome.created,
        skipped=outcome.skipped,
        suspended=outcome.suspended,
        with_password=file.with_password,
        by_sso=file.by_sso,
        refused_domains=run.refused_domains,
        without=sum(position not in skipped for position in file.without),
        first=[
            ShownUser(user, position + 1, _sign_in(user), position in skipped)
            for position, user in enumerate(file.first)
        ],
        notes=file.notes.lines,
    )


def wrong_file(run: FileRun, error: BatchRefused, users: UserQueries) -> WrongFile | None:
    """Return what is wrong with a file besides the choices of columns; None if nothing is."""
    codes = Counter({code: n for code, n in error.codes.items() if code not in COLUMN_CODES})
    if not codes:
        return None
    existing_count = sum(codes.pop(code, 0) for code in EXISTS)
    problems = [one for one in error.problems[:_SHOWN] if one.code not in COLUMN_CODES]
    wrong = [one for one in problems if one.code not in EXISTS]
    words = _words(run)
    shown = [words.shown(problem) for problem in wrong]
    existing = [words.shown(problem) for problem in problems if problem.code in EXISTS]
    return WrongFile(
        name=run.file.name,
        count=codes.total(),
        rows=len({problem.line for problem in wrong}),
        kinds=kinds_in_words(codes),
        groups=[shown[at : at + _GROUP] for at in range(0, len(shown), _GROUP)],
        existing=_existing(existing, users),
        existing_count=existing_count,
        more=codes.total() + existing_count - len(problems),
        notes=run.file.notes.lines,
        has_cells=run.file.format.is_workbook,
    )


def _existing(problems: Sequence[ShownProblem], users: UserQueries) -> list[ExistingPerson]:
    accounts = users.find([problem.email for problem in problems])
    people = [
        ExistingPerson(one, full_name(user.name, user.lastname) if user else one.name)
        for one, user in zip(problems, accounts, strict=True)
    ]
    return sorted(people, key=lambda person: not person.has_other_name)


def problem_lines(run: FileRun, error: BatchRefused) -> str:
    """Return all problems as lines of a text, in the words of the page."""
    words = _words(run)
    more = [f"... and {error.more:,} more"] if error.more else []
    return "".join(f"{line}\n" for line in [*(words.shown(p).line for p in error.problems), *more])


def problems_file(run: FileRun, error: BatchRefused) -> Response[str]:
    """Return all problems as a text that the browser saves."""
    headers = {"Content-Disposition": 'attachment; filename="problems.txt"'}
    lines = problem_lines(run, error)
    return Response(lines, media_type="text/plain; charset=utf-8", headers=headers)


def _words(run: FileRun) -> ProblemWords:
    headers = {column.field: column.header for column in run.file.choices.columns}
    return ProblemWords(run.people, headers, has_long_lines=run.file.format.has_long_lines)


def _sign_in(user: CheckedUser) -> str:
    ways = [
        *(["password"] if user.has_password else []),
        *(["single sign-on"] if user.is_sso_user else []),
    ]
    return " or ".join(ways) or "a link that you send"
