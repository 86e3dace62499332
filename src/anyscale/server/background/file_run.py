"""A run of a users file for a session: what an import and a sync have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from anyscale.domain.labels import label_of_file
from anyscale.domain.validation import Policy
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    NotAuthenticated,
    NotPermitted,
    Problem,
    RequestInvalid,
    ServerUnreachable,
)
from anyscale.server.background.counted_file import CountedFile, Person
from anyscale.server.background.own_calls import OwnCalls
from anyscale.server.background.upload import Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller

#: why a run stops when its server does
STOPPED: Final = "the server was stopped"


class StoppedRun(Struct, frozen=True):
    """What a process remembers of a run that has stopped."""

    #: why it stopped
    message: str
    #: of the form that sent its file
    fields: dict[str, str]


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


class RunResult:
    """The batch or the sync of a run, for the request that waits for it.

    Args:
        run_id: the id of the batch that the run continues; empty for a new one.
    """

    def __init__(self, run_id: str = "") -> None:
        #: empty as long as there is none
        self.run_id: str = run_id
        #: whether the file is known to be the one of that batch or sync
        self.is_compared: bool = False
        #: becomes the id as soon as the run does something, or an error
        self.opened: Future[str] = Future()
        #: is done when the run has ended and its file is closed
        self.ended: Future[None] = Future()

    def open(self, run_id: str) -> None:
        """Let the request show the page of a batch or a sync."""
        self.run_id, self.is_compared = run_id, True
        if not self.opened.done():
            self.opened.set_result(run_id)

    def end(self, error: AnyscaleError | None) -> None:
        """Let the request show why the run has ended before it did something."""
        if error and not self.opened.done():
            self.opened.set_exception(error)
        self.ended.set_result(None)


class FileRun(ABC):
    """A users file that this process works on, in a thread of its own or in that of a check.

    Args:
        control_plane: that does it.
        upload: the file, and the fields of its form.
        caller: whose session is checked in each transaction.
        key: of the run, which has one thread at a time; empty for a check.
        run_id: see `RunResult`.
    """

    #: the path of the pages of its results
    path: str

    def __init__(
        self,
        control_plane: ControlPlane,
        upload: Upload,
        caller: SessionCaller,
        key: str = "",
        run_id: str = "",
    ) -> None:
        self.file: Final = CountedFile(upload)
        self.upload: Final = upload
        self.caller: Final = caller
        self.key: Final = key
        self.state: Final = RunState()
        self.result: Final = RunResult(run_id)
        #: position -> who it is, of the entries that have problems, and that others repeat
        self.people: dict[int, Person] = {}
        self._control_plane = control_plane

    @abstractmethod
    def work(self) -> None:
        """Do what the form says; `result` tells when there is something to show."""

    @abstractmethod
    def stop_message(self, error: AnyscaleError) -> str:
        """Return why it stopped, for its page."""

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"{self.path}/{self.result.run_id}"

    @property
    def _label(self) -> str | None:
        return label_of_file(self.upload.fields.get("name", ""))

    def _calls(self, form_key: str = "") -> OwnCalls:
        return OwnCalls(self._control_plane, self.caller, self.state.require_running, form_key)

    def _refused(self, domains: AbstractSet[str]) -> list[str]:
        """Return those domains of users by SSO that SSO refuses, perhaps with a typing error."""
        provider = self._control_plane.settings.provider
        return provider.refused(domains) if provider else []

    def _require_users(self, count: int) -> None:
        if not count:
            raise RequestInvalid(f"the file {self.file.name} has no users")

    @contextmanager
    def _people_noted(self, policy: Policy, *, verify: bool = False) -> Iterator[None]:
        """Note who the rows with problems are, as long as the file is there."""
        try:
            yield
        except BatchRefused as error:
            positions = _entries_of(error.problems)
            self.people = self.file.people_at(positions, policy, verify=verify)
            raise


def _entries_of(problems: Iterable[Problem]) -> set[int]:
    """Return the positions of the entries that problems are about."""
    found = (index for problem in problems for index in (problem.index, problem.other))
    return {index for index in found if index is not None}


def stop_reason(error: AnyscaleError) -> str:
    """Return why a run stopped, in words for any owner: its starter may not be one any more."""
    cause = error.__cause__ if isinstance(error, BatchUnfinished) else error
    if isinstance(cause, NotAuthenticated):
        return "the session of the owner who started it was ended"
    if isinstance(cause, NotPermitted):
        return "the user who started it is no longer an owner"
    return str(error)
