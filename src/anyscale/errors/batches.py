"""Errors of the main job."""

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
        """Pickle without the text, which the initialiser gives."""
        return type(self), ()


class BatchRefused(AnyscaleError):
    """Nobody was created: `problems` names every entry that is wrong, and why."""

    code = "batch_refused"
    status = 422

    #: Codes of problems that are not the file's fault.
    TAKEN: ClassVar[frozenset[str]] = frozenset({"email_exists", "email_held"})

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        shown = "\n".join(str(problem) for problem in self.problems[:10])
        more = len(self.problems) - 10
        rest = f"\n... and {more} more in .problems" if more > 0 else ""
        super().__init__(f"{count}, nobody was created:\n{shown}{rest}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the problems, which is what the initialiser takes."""
        return type(self), (self.problems,)

    @property
    def input_is_at_fault(self) -> bool:
        """Whether any problem is in the input, rather than in who exists already."""
        return any(problem.code not in self.TAKEN for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Give the error with all of its problems."""
        return {"code": self.code, "problems": [problem.to_dict() for problem in self.problems]}


class BatchUnfinished(AnyscaleError):
    """The batch is not finished, or its outcome is not known: make the same call again."""

    code = "batch_unfinished"
    status = 503

    def __init__(self, detail: str, batch_id: str | None = None) -> None:
        super().__init__(detail)
        #: The batch that is left open; None where none is, or where it is not known.
        self.batch_id = batch_id


class BatchRunning(AnyscaleError):
    """Another process is working on the same batch."""

    code = "batch_running"
    status = 409


class BatchGone(AnyscaleError):
    """The batch was dropped or expired, or is in a state that does not allow the call."""

    code = "batch_gone"
    status = 409


class KeyReused(AnyscaleError):
    """The idempotency key belongs to a batch with other content."""

    code = "idempotency_key_reused"
    status = 409
