"""The result of a check, as its page shows it: what would be created, or what is wrong."""

from collections.abc import Sequence

from msgspec import Struct

from anyscale.domain.validation import CheckedUser
from anyscale.errors import BatchRefused, Problem
from anyscale.server.http.console.batches.file_run import SHOWN, FileRun

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
    with_password: int
    by_sso: int
    without: int
    first: Sequence[ShownUser]
    notes: Sequence[str]


class ShownProblem(Struct, frozen=True):
    """A problem, and the email of its row."""

    place: str
    path: str
    detail: str
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
    """
    outcome = run.check()
    skipped = {conflict.position for conflict in outcome.skipped_entries()}
    file = run.file
    return GoodFile(
        name=file.name,
        users=file.users_read,
        created=outcome.created,
        skipped=outcome.skipped,
        with_password=file.with_password,
        by_sso=file.by_sso,
        without=sum(position not in skipped for position in file.without),
        first=[
            ShownUser(user, position + 1, _sign_in(user), position in skipped)
            for position, user in enumerate(file.first)
        ],
        notes=file.notes,
    )


def wrong_file(run: FileRun, error: BatchRefused) -> WrongFile:
    """Return what is wrong with a file, with the email of each row that has one."""
    shown, emails = error.problems[:SHOWN], run.emails
    return WrongFile(
        name=run.file.name,
        count=error.count,
        rows=len({problem.line for problem in error.problems}),
        kinds=[(code.replace("_", " "), count) for code, count in error.codes.most_common()],
        groups=[
            [_shown(problem, emails) for problem in shown[at : at + _GROUP]]
            for at in range(0, len(shown), _GROUP)
        ],
        more=error.count - len(shown),
        notes=run.file.notes,
    )


def problem_lines(error: BatchRefused) -> str:
    """Return all problems as the command prints them."""
    more = [f"... and {error.more} more"] if error.more else []
    return "".join(f"{line}\n" for line in [*map(str, error.problems), *more])


def _shown(problem: Problem, emails: dict[int, str]) -> ShownProblem:
    place = f"{problem.line}:{problem.column}" if problem.line else ""
    email = emails.get(problem.index, "") if problem.index is not None else ""
    return ShownProblem(place, problem.path, problem.detail, email)


def _sign_in(user: CheckedUser) -> str:
    ways = [
        *(["password"] if user.has_password else []),
        *(["single sign-on"] if user.is_sso_user else []),
    ]
    return " or ".join(ways) or "a link that you send"
