"""/console/batches/new: choose a users file, check it, create or continue a batch."""

import re
import secrets
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath

from anyscale.domain.models.batches import Batch
from anyscale.errors import AnyscaleError, BatchRefused, BatchUndone, BatchUnfinished, KeyReused
from anyscale.server.background.file_import import FileImport
from anyscale.server.background.upload import Upload
from anyscale.server.core.batches.service import BatchService
from anyscale.server.http.console.batches.check_result import good_file, problem_lines
from anyscale.server.http.console.batches.columns import shown_table
from anyscale.server.http.console.batches.pages import PATH, TOO_LARGE, batch_page
from anyscale.server.http.console.batches.upload_form import (
    UPLOADS,
    CheckedForm,
    UploadForm,
    Uploads,
)
from anyscale.server.http.console.batches.uploads import MAX_UPLOAD
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web.console_page import Page, host_of
from anyscale.server.http.web.templating import redirect

_UNDONE = "the import of this page was undone: press the button again to begin a new one"

_FOR_LINKS = "links by mail need"

_KEY = re.compile("[0-9a-z-]{1,64}")


class _ImportForm(CheckedForm[FileImport]):
    """The form of an import."""

    template = "batches/new"

    @property
    def too_large(self) -> str:
        return (
            "The file has more than 64 MB. Use the command for it: anyscale user batch-create -f "
            f"FILE --host {host_of(self.request)}. Its options --format, --column and --if-exists "
            "are the fields of this page"
        )

    def new_check(self, upload: Upload) -> FileImport:
        return FileImport(self.uploads.control_plane, upload, self.request.user)

    async def new_run(self, upload: Upload) -> FileImport:
        if upload.mail_links:
            self.require_recent_sign_in(_FOR_LINKS)
        key = f"console-{self._key()}"
        return FileImport(self.uploads.control_plane, upload, self.request.user, key)

    def checked(self, run: FileImport) -> Page:
        return self.page(result=good_file(run, run.check()), table=shown_table(run.file))

    def refused(self, run: FileImport, error: AnyscaleError) -> Response[Any]:
        if isinstance(error, BatchUnfinished) and error.batch_id:
            return redirect(f"{PATH}/{error.batch_id}")
        return super().refused(run, error)

    def failed(self, error: AnyscaleError) -> Page:
        if isinstance(error, KeyReused | BatchUndone):
            self.fields["key"] = ""  # else the same happens again
        if isinstance(error, BatchUndone):
            error = BatchUndone(_UNDONE)
        return super().failed(error)

    def page(self, **shown: Any) -> Page:
        # One key for the whole page: "Create" twice is one batch.
        return super().page(key=self._key(), **shown)

    def _key(self) -> str:
        """Return the idempotency key of the page, or a new one."""
        key = self.fields.get("key", "")
        return key if _KEY.fullmatch(key) else secrets.token_hex(16)


class _ContinuedForm(UploadForm[FileImport]):
    """The form that continues an unfinished import, on the page of its batch."""

    too_large = TOO_LARGE

    def __init__(
        self, request: UserRequest, uploads: Uploads, batches: BatchService, batch: Batch
    ) -> None:
        super().__init__(request, uploads)
        self._batches = batches
        self._batch = batch

    async def new_run(self, upload: Upload) -> FileImport:
        if upload.mail_links:
            self.require_recent_sign_in(_FOR_LINKS)
        uploads, user, batch = self.uploads, self.request.user, self._batch
        key = await uploads.pools.read.run(self._batches.key_of, user, batch.batch_id)
        return FileImport(uploads.control_plane, upload, user, key, batch.batch_id, batch.if_exists)

    def wrong(self, run: FileImport, error: BatchRefused) -> dict[str, Any]:
        shown = super().wrong(run, error)
        first = problem_lines(run, error).partition("\n")[0]
        text = f"This is not the file of this import, or it was changed: {first}"
        return {**shown, "problems": [(text, "file"), *shown["problems"]]}

    def page(self, **shown: Any) -> Page:
        file_runs = self.uploads.file_runs
        return batch_page(self.request, self._batch, file_runs, chosen=self.fields, **shown)


@get("/batches/new", dependencies=UPLOADS)
async def show_form(request: UserRequest, uploads: NamedDependency[Uploads]) -> Page:
    return _ImportForm(request, uploads).page()


@post("/batches/check", status_code=200, request_max_body_size=MAX_UPLOAD, dependencies=UPLOADS)
async def check(request: UserRequest, uploads: NamedDependency[Uploads]) -> Response[Any]:
    return await _ImportForm(request, uploads).check()


@post("/batches", status_code=200, request_max_body_size=MAX_UPLOAD, dependencies=UPLOADS)
async def create(request: UserRequest, uploads: NamedDependency[Uploads]) -> Response[Any]:
    return await _ImportForm(request, uploads).start()


@post(
    "/batches/{batch_id:str}/continue",
    status_code=200,
    request_max_body_size=MAX_UPLOAD,
    dependencies=UPLOADS,
)
async def go_on(
    request: UserRequest,
    batch_id: FromPath[str],
    batches: NamedDependency[BatchService],
    uploads: NamedDependency[Uploads],
    pools: NamedDependency[ThreadPools],
) -> Response[Any]:
    batch = await pools.read.run(batches.show, request.user, batch_id)
    if batch.state != "open":
        return redirect(f"{PATH}/{batch.batch_id}")
    return await _ContinuedForm(request, uploads, batches, batch).start()


HANDLERS = [show_form, check, create, go_on]
