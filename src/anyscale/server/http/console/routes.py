"""The router of the console: all its pages are only for owners."""

from litestar import Response

from anyscale.errors import NotFound, NotPermitted
from anyscale.server.core.callers import SignInTooOld
from anyscale.server.core.permissions import Permission
from anyscale.server.http.console import (
    applications,
    audit,
    batches,
    mails,
    missing,
    overview,
    syncs,
    tokens,
    users,
)
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.login.sign_in_again import redirect_to_sign_in_again
from anyscale.server.http.web.session_pages import session_pages
from anyscale.server.http.web.templating import render_page


def _refuse(request: AnyRequest, _: NotPermitted) -> Response[str]:
    return render_page("console/not_permitted", options=request.app.state.login_options, status=403)


ROUTER = session_pages(
    [
        *overview.HANDLERS,
        *users.HANDLERS,
        *batches.HANDLERS,
        *syncs.HANDLERS,
        *mails.HANDLERS,
        *audit.HANDLERS,
        *applications.HANDLERS,
        *tokens.HANDLERS,
        *missing.HANDLERS,
    ],
    path="/console",
    permission=Permission.USE_CONSOLE,
    exception_handlers={
        NotPermitted: _refuse,
        NotFound: missing.show_missing,
        SignInTooOld: redirect_to_sign_in_again,
    },
)
