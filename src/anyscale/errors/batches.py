"""Errors of batch creation."""

from collections.abc import Sequence
from typing import Any, ClassVar

from anyscale.errors.base import AnyscaleError
from anyscale.errors.problem import Problem

__all__ = [
    "BatchGone",
    "BatchRefused",
    "BatchRunning",
    "BatchUnfinished",
    "FeatureUnavailable",
    "KeyReused",
]


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the message, which the initialiser creates."""
        return type(self), ()


class BatchRefused(AnyscaleError):
    """No user was created: `problems` lists every entry that is wrong, and why."""

    code = "batch_refused"
    status = 422

    #: codes of problems that are not a fault of the input
    TAKEN: ClassVar[frozenset[str]] = frozenset({"email_exists", "email_held"})

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        shown = "\n".join(str(problem) for problem in self.problems[:10])
        more = len(self.problems) - 10
        rest = f"\n... and {more} more in .problems" if more > 0 else ""
        super().__init__(f"{count}, nobody was created:\n{shown}{rest}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments of the initialiser."""
        return type(self), (self.problems,)

    @property
    def input_is_at_fault(self) -> bool:
        """Whether any problem is in the input itself, and not only in emails that are taken."""
        return any(problem.code not in self.TAKEN for problem in self.problems)

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
