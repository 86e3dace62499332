"""The result of a check, as its page shows it: what would be created, or what is wrong."""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from anyscale.domain.validation import CheckedUser, shown
from anyscale.errors import BatchRefused, Problem
from anyscale.server.background.file_run import SHOWN, FileRun, no_users

__all__ = ["GoodFile", "WrongFile", "check_file", "problem_lines", "wrong_file"]

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
    without: int
    first: Sequence[ShownUser]
    notes: Sequence[str]


class ShownProblem(Struct, frozen=True):
    """A problem, and who its row is."""

    line: int | None
    column: int | None
    field: str
    detail: str
    name: str
    email: str


class WrongFile(Struct, frozen=True):
    """A file that was refused."""

    name: str
    count: int
    rows: int
    #: (code in words, number)
    kinds: Sequence[tuple[str, int]]
    groups: Sequence[Sequence[ShownProblem]]
    #: problems that the page does not show
    more: int
    notes: Sequence[str]


def check_file(run: FileRun) -> GoodFile:
    """Check a file as the command does.

    Raises:
        BatchRefused: something is wrong.
        RequestInvalid: it has no users.
    """
    outcome = run.check()
    if not run.file.users_read:
        raise no_users(run.file.name)
    skipped = {conflict.position for conflict in outcome.skipped_entries()}
    file = run.file
    left_out = ", ".join(map(shown, run.upload.left_out))
    return GoodFile(
        name=file.name,
        users=file.users_read,
        created=outcome.created,
        skipped=outcome.skipped,
        suspended=outcome.suspended,
        with_password=file.with_password,
        by_sso=file.by_sso,
        without=sum(position not in skipped for position in file.without),
        first=[
            ShownUser(user, position + 1, _sign_in(user), position in skipped)
            for position, user in enumerate(file.first)
        ],
        notes=[*([f"Left out: {left_out}."] if left_out else []), *file.notes],
    )


def wrong_file(run: FileRun, error: BatchRefused) -> WrongFile | None:
    """Return what is wrong with a file besides the columns that its page proposes to leave out."""
    columns = run.file.columns_to_leave_out
    problems = [
        problem
        for problem in error.problems
        if problem.code != "unknown_key" or (problem.line, problem.column) not in columns
    ]
    count = error.count - len(error.problems) + len(problems)
    if not count:
        return None
    codes = error.codes - Counter(unknown_key=error.count - count)
    listed = [_shown(problem, run.people) for problem in problems[:SHOWN]]
    return WrongFile(
        name=run.file.name,
        count=count,
        rows=len({problem.line for problem in problems}),
        kinds=[(code.replace("_", " "), number) for code, number in codes.most_common()],
        groups=[listed[at : at + _GROUP] for at in range(0, len(listed), _GROUP)],
        more=count - len(listed),
        notes=run.file.notes,
    )


def problem_lines(error: BatchRefused) -> str:
    """Return all problems as the command prints them."""
    more = [f"... and {error.more} more"] if error.more else []
    return "".join(f"{line}\n" for line in [*map(str, error.problems), *more])


def _shown(problem: Problem, people: dict[int, tuple[str, str]]) -> ShownProblem:
    index = -1 if problem.index is None else problem.index
    person = people.get(index, ("", ""))
    field = problem.field or ""
    return ShownProblem(problem.line, problem.column, field, problem.detail, *person)


def _sign_in(user: CheckedUser) -> str:
    ways = [
        *(["password"] if user.has_password else []),
        *(["single sign-on"] if user.is_sso_user else []),
    ]
    return " or ".join(ways) or "a link that you send"
