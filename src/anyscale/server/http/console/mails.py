"""/console/mails: what is to be mailed, what has failed, and stopping it; links for many users."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, RawBody

from anyscale.errors import AnyscaleError
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.mail.kinds import (
    BECAME_OWNER,
    CODES_OFF,
    EMAIL_CHANGED,
    FACTOR_ADDED,
    FACTOR_REMOVED,
    FORGOTTEN_PASSWORD,
    FORGOTTEN_PASSWORD_SSO,
    LINK,
    PASSWORD_CHANGED,
    RECOVERY_CODE_USED,
    WRONG_CODES,
)
from anyscale.server.core.mail.queue import MailQueue
from anyscale.server.http.api.parameters import MailingId
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import (
    Page,
    refused_form,
    render_console_page,
)
from anyscale.server.http.web.forms import read_form
from anyscale.server.http.web.templating import redirect

PATH = "/console/mails"

#: mailings, and mails, of a page
_PAGE = 50

KINDS_IN_WORDS: Final[Mapping[str, str]] = {
    LINK: "Link to set a password",
    FORGOTTEN_PASSWORD: "Link, requested by the user",
    FORGOTTEN_PASSWORD_SSO: "Sign in with single sign-on (SSO)",
    PASSWORD_CHANGED: "Notice: the password was changed",
    EMAIL_CHANGED: "Notice: the email was changed",
    BECAME_OWNER: "Notice: the account became an owner's",
    FACTOR_ADDED: "Notice: a second factor was added",
    FACTOR_REMOVED: "Notice: a second factor was removed",
    RECOVERY_CODE_USED: "Notice: a recovery code was used",
    WRONG_CODES: "Notice: wrong codes",
    CODES_OFF: "Notice: codes do not work any more",
}

_NOTES = {
    "mailed": "All users who cannot sign in get links by mail.",
    "stopped": "The mailing is stopped. What was sent stays sent, and its links work.",
}

After = Annotated[str, QueryParameter(max_length=64)]


@get("/mails", pool="read")
def list_mails(
    request: UserRequest,
    mail_queue: NamedDependency[MailQueue],
    users: NamedDependency[UserQueries],
    batches: NamedDependency[BatchService],
    before: After = "",
    failed_after: After = "",
    note: FromQuery[str] = "",
) -> Page:
    mailings = mail_queue.list_mailings(before, _PAGE + 1)
    failed = mail_queue.list_mails(failed=True, after=failed_after, limit=_PAGE + 1)
    more_mailings, more_failed = len(mailings) > _PAGE, len(failed) > _PAGE
    mailings, failed = mailings[:_PAGE], failed[:_PAGE]
    return render_console_page(
        request,
        "mails/list",
        PATH,
        mailings=mailings,
        following=f"{PATH}?before={mailings[-1].mailing_id}" if more_mailings else "",
        single=mail_queue.list_mails(failed=False, limit=_PAGE, mailing_id=""),
        counts=mail_queue.count_single(),
        failed=failed,
        failed_following=f"{PATH}?failed_after={failed[-1].mail_id}" if more_failed else "",
        first=PATH if before or failed_after else "",
        kinds=KINDS_IN_WORDS,
        names=names_in(mailings, users),
        batches=batches.names(one.batch_id for one in mailings if one.batch_id),
        note=_NOTES.get(note, ""),
    )


@post("/mails/{mailing_id:str}/stop", pool="write")
def stop(
    request: UserRequest, mailing_id: MailingId, mail_queue: NamedDependency[MailQueue]
) -> Page:
    mail_queue.stop(request.user, mailing_id)
    return redirect(f"{PATH}?note=stopped")


@get("/mails/new", pool="read", guards=[require_recent_sign_in])
def ask_for_links(
    request: UserRequest,
    links: NamedDependency[PasswordLinkService],
    mail_queue: NamedDependency[MailQueue],
) -> Page:
    return _question(request, links, mail_queue)


@post("/mails/new", pool="write")
def send_links(
    request: UserRequest,
    body: RawBody,
    links: NamedDependency[PasswordLinkService],
    mail_queue: NamedDependency[MailQueue],
) -> Page:
    """Mail links to all users who cannot sign in.

    A form that arrives twice does so once: it names the latest mailing that its user has seen.
    """
    (seen,) = read_form(request, body, "mailing")
    try:
        links.mail_many(request.user, "", seen)
    except AnyscaleError as error:
        return _question(request, links, mail_queue, **refused_form(error))
    return redirect(f"{PATH}?note=mailed")


def _question(
    request: UserRequest, links: PasswordLinkService, mail_queue: MailQueue, **shown: Any
) -> Page:
    latest = mail_queue.list_mailings(limit=1, batch_id="")
    return render_console_page(
        request,
        "mails/new",
        PATH,
        count=links.count_without_credentials(),
        mailing=latest[0] if latest else None,
        **shown,
    )


HANDLERS = [list_mails, stop, ask_for_links, send_links]
