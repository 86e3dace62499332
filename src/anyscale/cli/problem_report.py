"""The problems of a refused batch: lines on standard error, or a document on standard output."""

from anyscale.cli.formats import write_json
from anyscale.cli.terminal import say
from anyscale.domain.phrases import quantity
from anyscale.errors import BatchRefused
from anyscale.errors.batches import MAX_PROBLEMS

#: problems that are written as lines; `-o json` writes more
_MOST_PROBLEMS = 50

#: problems that are written as lines if each entry has an account
_FEW = 3

#: emails that are counted before they are listed, if they have the same problem
_MANY_EMAILS = 5
#: code of such a problem -> the words for it
_COUNTED = {
    "email_exists": "have an account",
    "email_reserved": "are reserved by an unfinished batch",
    "email_freed": "were emails of other accounts less than 30 days ago",
}


def report_problems(error: BatchRefused, output: str, entries: int = 0) -> None:
    """Write the problems: as a document with `-o json`, else as lines (see `say_problems`)."""
    if output == "json":
        problems = [problem.to_dict() for problem in error.problems]
        write_json({"problems": problems, "more": error.more})
    else:
        say_problems(error, entries)


def say_problems(error: BatchRefused, entries: int = 0) -> None:
    """Write each problem as a line that an editor can jump to; first count many taken emails.

    Args:
        error: with the problems.
        entries: of the file; 0 if no emails are to be counted.
    """
    at_least = "" if error.codes.total() == error.count else "at least "
    for code, what in _COUNTED.items():
        if entries and (count := error.codes[code]) >= _MANY_EMAILS:
            say(f"{at_least}{count:,} of {entries:,} emails {what}:")
    # A file that was created before: the summary matters, and not each of its lines.
    is_repeated = entries and error.codes["email_exists"] == entries == error.count
    most = _FEW if is_repeated else _MOST_PROBLEMS
    for problem in error.problems[:most]:
        say(str(problem))
    if (more := error.count - most) > 0:
        say(f"... and {quantity(more, 'problem')} more: `-o json` gives the first {MAX_PROBLEMS:,}")
