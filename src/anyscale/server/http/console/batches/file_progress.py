"""/console/file-progress: how much of a file is read, for the page that has sent it."""

from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from anyscale.server.background.file_runs import FileRuns
from anyscale.server.http.authentication import RENEWS_SESSION
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.route_handlers import get


class FileProgress(Struct, frozen=True):
    """How far a check or a run is."""

    #: what is done with the file; empty if this process has not begun with it
    text: str
    #: of 100
    percent: int


@get("/file-progress/{form_key:str}", pool="read", opt={RENEWS_SESSION: False})
def show_file_progress(
    request: UserRequest, form_key: FromPath[str], file_runs: NamedDependency[FileRuns]
) -> FileProgress:
    run = file_runs.of_form(form_key, request.user.session.session_id)
    step, done, total = run.state.progress if run else ("", 0, 0)
    if run is None or not total:
        return FileProgress("", 0)
    return FileProgress(f"{step} {run.file.name}:", min(100 * done // total, 100))


HANDLERS = [show_file_progress]
