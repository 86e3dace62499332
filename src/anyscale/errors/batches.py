"""Errors of batch creation, and the problems of their entries."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from anyscale.errors.base import AnyscaleError

if TYPE_CHECKING:  # the models import errors
    from anyscale.domain.models.sync import SyncPlan


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with one entry, or with the file as a whole."""

    #: The entry, counted from 0; None for the file as a whole.
    index: int | None = None
    #: The field; None for the entry as a whole or the file.
    field: str | None = None
    #: One of the codes in docs/errors.md.
    code: str
    #: What is wrong and how to mend it, as a sentence. It never quotes a password.
    detail: str
    #: The file's name as the caller wrote it; None if the users came from Python.
    file: str | None = None
    #: The line, counted from 1 as in editors.
    line: int | None = None
    #: The column in characters, counted from 1; in a spreadsheet the number of the column.
    column: int | None = None
    #: The cell, such as `C24`; None if the file is not a spreadsheet.
    cell: str | None = None
    #: The earlier entry with the same email or external id, counted from 0; else None.
    other: int | None = None
    #: Of a file without the key `create_users`, such as CSV: the name or email of the entry as far
    #: as it is right, else an empty text.
    person: str | None = None

    @property
    def path(self) -> str:
        """The place in the input: `create_users[3].email`, or `Jane Doe, email` in a table."""
        if self.index is None or self.person is not None:
            return ", ".join(filter(None, (self.person, self.field)))
        entry = f"create_users[{self.index}]"
        return f"{entry}.{self.field}" if self.field else entry

    @property
    def place(self) -> str:
        """The place in the file: `users.yaml:17:12`, `staff.xlsx:C24`, its name, or nothing."""
        if not self.file or not self.line:
            return self.file or ""
        return f"{self.file}:{self.cell or f'{self.line}:{self.column}'}"

    def __str__(self) -> str:
        """Return one line that an editor can jump to."""
        parts = (self.place, self.path, self.detail)
        return ": ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set, as plain values."""
        return {key: one for key, one in structs.asdict(self).items() if one not in (None, "")}


class FeatureUnavailable(AnyscaleError):
    """Batch creation is only available on customer-hosted clouds."""

    code = "feature_unavailable"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "user batch-create is only available on customer-hosted clouds, "
            "and the operator of this control plane has switched it off "
            "(ANYSCALE_BATCH_CREATE=off)."
        )


#: Problems in the text of the error.
_SHOWN = 10

#: The first problems that are kept, by place; the others are counted.
MAX_PROBLEMS = 10_000


class BatchRefused(AnyscaleError):
    """No user was created or compared: `problems` lists the entries that are wrong, and why.

    It has the first 10,000 by place, and `more` is the number of the others.
    """

    code = "batch_refused"
    status = 422

    def __init__(
        self, problems: Iterable[Problem], more: int = 0, outcome: str = "nobody was created"
    ) -> None:
        found = iter(problems)
        self.problems: list[Problem] = list(islice(found, MAX_PROBLEMS))
        #: Whether any problem is in the input itself, and not only in taken emails or numbers.
        self.input_is_at_fault: bool = any(map(_is_of_input, self.problems))
        #: How many problems have each code, without those that a server has only counted.
        self.codes: Counter[str] = Counter(problem.code for problem in self.problems)
        for problem in found:
            more += 1
            self.codes[problem.code] += 1
            self.input_is_at_fault |= _is_of_input(problem)
        self.more: int = more
        self.count: int = len(self.problems) + more
        count = f"{self.count:,} problem{'' if self.count == 1 else 's'}"
        shown = "\n".join(str(problem) for problem in self.problems[:_SHOWN])
        hidden = self.count - _SHOWN
        rest = f"\n... and {hidden:,} more: see .problems" if hidden > 0 else ""
        super().__init__(f"{count}, {outcome}:\n{shown}{rest}")

    def to_dict(self) -> dict[str, Any]:
        """Return the code and the problems as plain values, for JSON."""
        problems = [problem.to_dict() for problem in self.problems]
        return {"code": self.code, "problems": problems, "more": self.more}


#: Accounts and open batches have the emails, external ids and subs of these.
_TAKEN = frozenset(
    {
        *("email_exists", "email_reserved", "email_freed"),
        *("external_id_exists", "external_id_reserved", "sub_taken"),
    }
)


def _is_of_input(problem: Problem) -> bool:
    return problem.code not in _TAKEN


class SyncStopped(AnyscaleError):
    """A limit or a question stopped a sync: nothing was changed."""

    code = "sync_stopped"
    status = 409

    def __init__(self, plan: "SyncPlan") -> None:
        super().__init__(f"nothing was changed: {'; '.join(plan.stops)}")
        #: what it would have done, and in `stops` why it did not
        self.plan: SyncPlan = plan


class BatchUnfinished(AnyscaleError):
    """The batch is unfinished, or its outcome is unknown: make the same call again."""

    code = "batch_unfinished"
    status = 409

    def __init__(self, detail: str, batch_id: str | None = None) -> None:
        super().__init__(detail)
        #: The batch that is left open; None if there is none, or if it is unknown.
        self.batch_id: str | None = batch_id


class BatchRunning(AnyscaleError):
    """Another process is working on the same batch."""

    code = "batch_running"
    status = 409


class BatchGone(AnyscaleError):
    """The batch was dropped or has expired, or its state does not allow the call."""

    code = "batch_gone"
    status = 409


class BatchUndone(AnyscaleError):
    """The batch was created and undone: its accounts were deleted, except those that it kept."""

    code = "batch_undone"
    status = 409


class KeyReused(AnyscaleError):
    """The idempotency key belongs to a batch with other content."""

    code = "idempotency_key_reused"
    status = 409
