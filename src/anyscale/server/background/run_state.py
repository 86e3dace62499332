"""What runs of users files have in common: how far they are, and why they stop."""

from typing import Final

from anyscale.errors import (
    AnyscaleError,
    BatchUnfinished,
    NotAuthenticated,
    NotPermitted,
    ServerUnreachable,
)

#: why a run stops when its server does
STOPPED: Final = "the server was stopped"


class RunState:
    """How far a run is, and whether it has to stop."""

    def __init__(self) -> None:
        #: a step, how much of it is done, and how much it is
        self.progress: tuple[str, int, int] = ("Reading", 0, 0)
        #: why its progress stands still, for example since it waits for another batch
        self.notice: str = ""
        self.is_stopping = False

    def note(self, message: str) -> None:
        """Note why the progress stands still."""
        self.notice = message

    def note_progress(self, step: str, done: int, total: int, _: int = 0) -> None:
        """Note how far the run is. Raise `ServerUnreachable` when it has to stop."""
        self.progress, self.notice = (step, done, total), ""
        self.require_running()

    def require_running(self) -> None:
        """Raise `ServerUnreachable` when the run has to stop."""
        if self.is_stopping:
            raise ServerUnreachable(STOPPED)


def stop_reason(error: AnyscaleError) -> str:
    """Return why a run stopped, in words for any owner: its starter may not be one any more."""
    cause = error.__cause__ if isinstance(error, BatchUnfinished) else error
    if isinstance(cause, NotAuthenticated):
        return "the session of the owner who started it was ended"
    if isinstance(cause, NotPermitted):
        return "the user who started it is no longer an owner"
    return str(error)
