"""The form that sends a users file to be checked or done. Each page adds what differs."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

from litestar import Response
from litestar.di import NamedDependency, Provide

from anyscale.errors import AnyscaleError, BatchRefused, RequestInvalid, TooLarge
from anyscale.server.background.file_import import FileImport
from anyscale.server.background.file_run import FileRun
from anyscale.server.background.file_runs import FileRuns
from anyscale.server.background.memory_budget import MemoryBudget
from anyscale.server.background.upload import ENCODINGS, Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.console.batches.check_result import problems_file, wrong_file
from anyscale.server.http.console.batches.columns import column_problems, shown_table
from anyscale.server.http.console.batches.uploads import abandoned_with, receive_upload
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.refusals import count_refusal, retry_after
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import NOT_OF_THE_FORM, Page, render_console_page
from anyscale.server.http.web.forms import sentence
from anyscale.server.http.web.templating import redirect
from anyscale.users_file import FORMATS

#: what the fields of a form choose from: files by their endings, and the formats and the encodings
#: with their names
CHOICES: dict[str, Any] = {
    "formats": [
        ("", "By the name of the file"),
        *((name, one.label) for name, one in FORMATS.items()),
    ],
    "encodings": ENCODINGS,
    "endings": ",".join(ending for one in FORMATS.values() for ending in one.endings),
}

_Run = TypeVar("_Run", bound=FileRun)


class Uploads(NamedTuple):
    """What works on the files of forms."""

    control_plane: ControlPlane
    memory_budget: MemoryBudget
    file_runs: FileRuns
    pools: ThreadPools


def _uploads(
    control_plane: NamedDependency[ControlPlane],
    memory_budget: NamedDependency[MemoryBudget],
    file_runs: NamedDependency[FileRuns],
    pools: NamedDependency[ThreadPools],
) -> Uploads:
    return Uploads(control_plane, memory_budget, file_runs, pools)


#: of handlers with a form
UPLOADS = {"uploads": Provide(_uploads, sync_to_thread=False)}


class UploadForm(ABC, Generic[_Run]):
    """The form of a request. Whatever is wrong is shown on its page, with what was chosen there.

    A fault of the server is shown there too: a page of its own would lose the chosen file.
    """

    def __init__(self, request: UserRequest, uploads: Uploads) -> None:
        self.request = request
        self.uploads = uploads
        #: besides the file, as far as they have arrived
        self.fields: dict[str, str] = {}

    @property
    @abstractmethod
    def too_large(self) -> str:
        """What to do with a file that is too large."""

    @abstractmethod
    def page(self, **shown: Any) -> Page:
        """Render the page of the form."""

    @abstractmethod
    async def new_run(self, upload: Upload) -> _Run:
        """Return a run that does what the form says."""

    async def start(self) -> Response[Any]:
        """Start a run; show the page of what it does, or what is wrong with the file."""
        return await self._with_file(self._start)

    async def opened(self, run: _Run) -> Response[Any]:
        """Show the page of what a run does."""
        return redirect(run.page)

    def refused(self, run: _Run, error: AnyscaleError) -> Response[Any]:
        """Show why a check or a run has not begun with anything, or raise the error again."""
        if not isinstance(error, BatchRefused):
            raise error
        count_refusal(error)
        if self.fields.get("as") == "text":
            return problems_file(run, error)
        return self.page(**self.wrong(run, error))

    def wrong(self, run: _Run, error: BatchRefused) -> dict[str, Any]:
        """Return the arguments of a page that shows what is wrong with a file."""
        return {
            "wrong": wrong_file(run, error, self.uploads.control_plane.users),
            "table": shown_table(run.file),
            "problems": column_problems(run.file.choices, error.problems),
            "status": error.status,
        }

    def failed(self, error: AnyscaleError) -> Page:
        """Count a refused file, and show why. Raise the error itself if the form is not wrong."""
        if isinstance(error, NOT_OF_THE_FORM):
            raise error
        count_refusal(error)
        text = self.too_large if isinstance(error, TooLarge) else sentence(str(error))
        problems = [(text, "file")]
        return self.page(problems=problems, status=error.status, headers=retry_after(error))

    def require_recent_sign_in(self, what: str) -> None:
        """Require a recent sign-in for `what`, the beginning of the sentence that says why.

        Raises:
            RequestInvalid: it is not recent. The page of `SignInTooOld` would lose the chosen file.
        """
        if not self.request.user.has_recent_sign_in:
            raise RequestInvalid(
                f"{what} a sign-in of the last 15 minutes: open /sign-in-again in another tab, and "
                "then press the button again"
            )

    async def _with_file(self, work: Callable[[Upload], Awaitable[Response[Any]]]) -> Response[Any]:
        budget = self.uploads.memory_budget
        try:
            async with receive_upload(self.request, budget, self.fields) as upload:
                return await work(upload)
        except AnyscaleError as error:
            return self.failed(error)

    async def _start(self, upload: Upload) -> Response[Any]:
        run = self.uploads.file_runs.start(await self.new_run(upload))
        try:
            # A request that is cancelled does not cancel what others wait for.
            await asyncio.shield(asyncio.wrap_future(run.result.opened))
        except AnyscaleError as error:
            return await self.uploads.pools.read.run(self.refused, run, error)
        return await self.opened(run)


class CheckedForm(UploadForm[_Run]):
    """A form whose file can be checked before its run is started: see `batches/upload.html`."""

    #: the name of the template of its page
    template: str

    def page(self, **shown: Any) -> Page:
        return render_console_page(
            self.request,
            self.template,
            FileImport.path,
            module="batch.js",
            too_large=self.too_large,
            chosen=self.fields,
            **{"result": None, "wrong": None, "table": None, **CHOICES} | shown,
        )

    @abstractmethod
    def new_check(self, upload: Upload) -> _Run:
        """Return a run that only checks."""

    @abstractmethod
    def checked(self, run: _Run) -> Response[Any]:
        """Check the file, and show what a run would do."""

    async def check(self) -> Response[Any]:
        """Check the file, and change nothing."""
        return await self._with_file(self._check)

    async def _check(self, upload: Upload) -> Response[Any]:
        uploads, run = self.uploads, self.new_check(upload)
        with uploads.file_runs.checking(run):
            async with (
                abandoned_with(self.request, upload),
                uploads.memory_budget.turn(upload.size),
            ):
                return await uploads.pools.read.run(self._checked, run)

    def _checked(self, run: _Run) -> Response[Any]:
        try:
            return self.checked(run)
        except BatchRefused as error:
            return self.refused(run, error)
