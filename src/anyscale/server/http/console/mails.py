"""/console/mails: what is to be mailed, what has failed, and stopping it."""

from collections.abc import Mapping
from typing import Annotated, Final

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from anyscale.server.core.accounts.queries import UserQueries
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
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.actors import emails_in
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.http.web.templating import redirect

__all__ = ["HANDLERS", "KINDS_IN_WORDS", "PATH"]

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
    WRONG_CODES: "Notice: ten wrong codes",
    CODES_OFF: "Notice: codes do not work any more",
}

_NOTES = {"stopped": "The mailing is stopped. What was sent stays sent, and its links work."}

After = Annotated[str, QueryParameter(max_length=64)]


@get("/mails", pool="read")
def list_mails(
    request: UserRequest,
    mail_queue: NamedDependency[MailQueue],
    users: NamedDependency[UserQueries],
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
        single_due=mail_queue.count_single().due,
        failed=failed,
        failed_following=f"{PATH}?failed_after={failed[-1].mail_id}" if more_failed else "",
        first=PATH if before or failed_after else "",
        kinds=KINDS_IN_WORDS,
        emails=emails_in(mailings, users),
        note=_NOTES.get(note, ""),
    )


@post("/mails/{mailing_id:str}/stop", pool="write")
def stop(
    request: UserRequest, mailing_id: MailingId, mail_queue: NamedDependency[MailQueue]
) -> Page:
    mail_queue.stop(mailing_id, request.user)
    return redirect(f"{PATH}?note=stopped")


HANDLERS = [list_mails, stop]
