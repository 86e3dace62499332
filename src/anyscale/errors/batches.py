"""Errors of batch creation, and the problems of their entries."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from anyscale.errors.base import AnyscaleError


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
    #: The column in characters, counted from 1.
    column: int | None = None

    @property
    def path(self) -> str:
        """The place in the input: `create_users[3].email`, `create_users[3]`, or nothing."""
        if self.index is None:
            return self.field or ""
        entry = f"create_users[{self.index}]"
        return f"{entry}.{self.field}" if self.field else entry

    def __str__(self) -> str:
        """Return one line that an editor can jump to."""
        place = f"{self.file}:{self.line}:{self.column}" if self.file else ""
        return ": ".join(part for part in (place, self.path, self.detail) if part)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are not None, as plain values."""
        return {key: value for key, value in structs.asdict(self).items() if value is not None}


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


class BatchRefused(AnyscaleError):
    """No user was created: `problems` lists every entry that is wrong, and why."""

    code = "batch_refused"
    status = 422

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        shown = "\n".join(str(problem) for problem in self.problems[:10])
        more = len(self.problems) - 10
        rest = f"\n... and {more} more in .problems" if more > 0 else ""
        super().__init__(f"{count}, nobody was created:\n{shown}{rest}")

    @property
    def input_is_at_fault(self) -> bool:
        """Whether any problem is in the input itself, and not only in emails that are taken."""
        return any(problem.code not in ("email_exists", "email_held") for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the code and all problems as plain values, for JSON."""
        return {"code": self.code, "problems": [problem.to_dict() for problem in self.problems]}


class BatchUnfinished(AnyscaleError):
    """The batch has not ended, or its outcome is unknown: make the same call again."""

    code = "batch_unfinished"
    status = 503

    def __init__(self, detail: str, batch_id: str | None = None) -> None:
        super().__init__(detail)
        #: The batch that is left open; None if there is none, or if it is unknown.
        self.batch_id = batch_id


class BatchRunning(AnyscaleError):
    """Another process is working on the same batch."""

    code = "batch_running"
    status = 409


class BatchGone(AnyscaleError):
    """The batch was dropped or has expired, or its state does not allow the call."""

    code = "batch_gone"
    status = 409


class KeyReused(AnyscaleError):
    """The idempotency key belongs to a batch with other content."""

    code = "idempotency_key_reused"
    status = 409
