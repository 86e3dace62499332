"""/v1/mails and /v1/mailings: send links by mail, list what is due and failed, and stop it."""

from typing import Annotated

from litestar import Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter, RawBody

from anyscale.domain.schemas.mail import MailingPage, MailLinks, MailPage, StoppedMailings
from anyscale.errors import RequestInvalid
from anyscale.server.core.login.links import PasswordLinkService
from anyscale.server.core.mail.queue import MailQueue
from anyscale.server.core.permissions import Permission
from anyscale.server.http.api.parameters import MailingId
from anyscale.server.http.bodies import decode
from anyscale.server.http.dependencies import TokenRequest
from anyscale.server.http.errors import error_responses
from anyscale.server.http.route_handlers import get, post

_TO_MANY = (
    "For `batch_id` and `without_credentials` one row is written, from which the mails are created "
    "a part at a time; a call that is repeated while they are due changes nothing. A link is "
    "created when its mail is sent, and replaces the earlier one of its account."
)


@post(
    "/users:mailSetPasswordLinks",
    pool="write",
    permission=Permission.MANAGE_SIGN_IN,
    operation_id="mailSetPasswordLinks",
    summary="Send one-time links to set a password by mail.",
    description=_TO_MANY,
    status_code=204,
    responses=error_responses(404, 409, 413),
)
def mail_links(
    request: TokenRequest, body: RawBody, links: NamedDependency[PasswordLinkService]
) -> None:
    to = decode(body, MailLinks)
    named = [to.user_ids is not None, to.batch_id is not None, to.without_credentials]
    if sum(named) != 1:
        raise RequestInvalid("name exactly one of user_ids, batch_id and without_credentials")
    if to.user_ids is not None:
        links.mail(request.user, to.user_ids)
    else:
        links.mail_many(request.user, to.batch_id or "")


@get(
    "/mailings",
    pool="read",
    permission=Permission.MANAGE_SIGN_IN,
    operation_id="listMailings",
    summary="List the requests for mails to many accounts, the latest first.",
    responses=error_responses(),
)
def list_mailings(
    mail_queue: NamedDependency[MailQueue],
    before: Annotated[str, QueryParameter(max_length=64)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    batch_id: Annotated[str | None, QueryParameter(max_length=64)] = None,
) -> MailingPage:
    mailings = mail_queue.list_mailings(before, limit, batch_id)
    return MailingPage(mailings, mail_queue.count_single())


@get(
    "/mails",
    pool="read",
    permission=Permission.MANAGE_SIGN_IN,
    operation_id="listMails",
    summary="List the mails that are due, or those that have failed.",
    responses=error_responses(),
)
def list_mails(
    mail_queue: NamedDependency[MailQueue],
    failed: Annotated[bool, QueryParameter(description="Those that have failed.")] = False,
    after: Annotated[str, QueryParameter(max_length=64)] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 1000,
) -> MailPage:
    return MailPage(mail_queue.list_mails(failed=failed, after=after, limit=limit))


@post(
    "/mailings/{mailing_id:str}/stop",
    pool="write",
    permission=Permission.MANAGE_SIGN_IN,
    operation_id="stopMailing",
    summary="Stop a mailing, or those of a batch: what was not sent is not sent any more.",
    status_code=200,
    responses=error_responses(404),
)
def stop(
    request: TokenRequest, mailing_id: MailingId, mail_queue: NamedDependency[MailQueue]
) -> StoppedMailings:
    return StoppedMailings(mail_queue.stop(request.user, mailing_id))


ROUTER = Router("/", route_handlers=[mail_links, list_mailings, list_mails, stop], tags=["mail"])
