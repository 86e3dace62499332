"""/console/users/{user_id}: one account, and the pages that ask before they change it."""

from typing import Any

from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.conflicts import FREED_DAYS
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.names import full_name
from anyscale.domain.times import day_of, from_milliseconds
from anyscale.server.core.accounts.account_details import AccountDetails, AccountDetailsQuery
from anyscale.server.core.accounts.queries import UserQueries
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.mail.queue import MailQueue
from anyscale.server.core.openid.user_grants import UserGrants
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.account.user_agent import browser_name
from anyscale.server.http.account.view_models import FACTOR_KINDS, token_views
from anyscale.server.http.api.parameters import UserId
from anyscale.server.http.console.audit.entries import shown_entries
from anyscale.server.http.console.mails import KINDS_IN_WORDS
from anyscale.server.http.console.users.fields import TEXTS, entered
from anyscale.server.http.console.users.filters import PATH, SIGN_IN
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login.sign_in_again import require_recent_sign_in
from anyscale.server.http.route_handlers import get
from anyscale.server.http.web.actors import names_in
from anyscale.server.http.web.console_page import Page, render_console_page
from anyscale.server.store.records.users import AccountRecord

#: sessions on the page
_SHOWN_SESSIONS = 10

#: entries of the audit log on the page
_SHOWN_ENTRIES = 10

_NOTES = {
    "created": "The account is created.",
    "repeated": "This form arrived twice: the account was created once.{link}",
    "corrected": "The changes are saved.",
    "suspended": "The account is suspended: its user is signed out everywhere.",
    "restored": "The account is restored. {sign_in}",
    "role": "The role is changed, and the user is signed out everywhere. {sign_in}",
    "token_revoked": "The token is revoked. Programs that use it cannot sign in any more.",
    "without_link": "The account is created. Its user cannot sign in before you create a link.",
    "factors_removed": "The second factors are removed, and the user is signed out everywhere.",
    "no_factors": "The account had no second factor: nothing has changed.",
    "signed_out": "The user is signed out everywhere.",
    "mailed": "A link is sent to the user by mail.",
    "link": "A link was created after you opened this page, and none now.{link}",
}

#: what a note says of a link that nobody may have seen
_LINK = " If you did not see the link, create another one: that one stops working then."


class UserPages(Struct, frozen=True):
    """Renders the pages of an account."""

    details: AccountDetailsQuery
    grants: UserGrants
    audit_log: AuditLog
    users: UserQueries
    tokens: TokenService
    mail_queue: MailQueue
    batches: BatchService

    def render(self, request: UserRequest, user_id: str, note: str = "", **shown: Any) -> Page:
        """Return the page of an account, or raise `NotFound`; `note` is a key of `_NOTES`."""
        found, entries = self.details.get(user_id), self._entries(user_id)
        values = _values(request, found) | {
            "note": _note(note, found),
            "sessions": found.sessions[:_SHOWN_SESSIONS],
            "browser_name": browser_name,
            "session_count": len(found.sessions),
            "applications": self.grants.list(user_id),
            "tokens": token_views(self.tokens.list_live(user_id), request.user.at),
            "second_factors": found.second_factors,
            "factor_kinds": FACTOR_KINDS,
            "mails": self.mail_queue.list_of(user_id),
            "kinds": KINDS_IN_WORDS,
            "entries": shown_entries(self.audit_log, entries),
            **self._origin(found.account),
        }
        return render_console_page(request, "users/account", PATH, **values | shown)

    def _origin(self, account: AccountRecord) -> dict[str, Any]:
        """Return the batch that created an account, and the names of people in it."""
        batch = self.batches.names([account.batch_id]).get(account.batch_id)
        return {"batch": batch, "names": names_in([batch], self.users) if batch else {}}

    def _entries(self, user_id: str) -> list[AuditEntry]:
        """Return the last entries on an account, and by its user."""
        only = AuditFilter(account=user_id)
        return self.audit_log.list(0, _SHOWN_ENTRIES, newest_first=True, only=only)

    def render_correction(
        self, request: UserRequest, user_id: str, edited: dict[str, str], **shown: Any
    ) -> Page:
        """Return the form that corrects an account, with the fields that its user has edited."""
        opened = entered(self.details.get(user_id).account)
        values: dict[str, Any] = {"opened": opened, "sent": opened | edited, "is_freed": False}
        return self.render_question(request, user_id, "correct", **values | shown)

    def render_question(
        self, request: UserRequest, user_id: str, question: str, **shown: Any
    ) -> Page:
        """Return the page that asks before a change, by the name of its template.

        Raises `SignInTooOld` as the change of an owner's account would.
        """
        values = _values(request, self.details.get(user_id))
        if values["is_owner"]:
            request.user.require_recent_sign_in()
        return render_console_page(request, f"users/{question}", PATH, **values | shown)


def _values(request: UserRequest, found: AccountDetails) -> dict[str, Any]:
    account = found.account
    return {
        "account": account,
        "texts": TEXTS,
        "name": full_name(account.name, account.lastname),
        "is_owner": account.permission_level == "owner",
        "is_own": account.user_id == request.user.account.user_id,
        "sign_in": SIGN_IN[found.sign_in],
        "state": found.sign_in,
        "link": found.link,
        "links_made": found.links_made,
        "link_until": from_milliseconds(found.link.expires_at) if found.link else None,
        "created": from_milliseconds(account.created_at),
        "used": from_milliseconds(account.used_at) if account.used_at else None,
        "last_sign_in": day_of(account.last_sign_in),
        "freed_days": FREED_DAYS,
    }


def _note(note: str, found: AccountDetails) -> str:
    link = _LINK if found.link else ""
    return _NOTES.get(note, "").format(sign_in=SIGN_IN[found.sign_in].after, link=link)


@get("/users/{user_id:str}", pool="read")
def show_account(
    request: UserRequest,
    user_id: UserId,
    user_pages: NamedDependency[UserPages],
    note: FromQuery[str] = "",
) -> Page:
    return user_pages.render(request, user_id, note=note)


@get("/users/{user_id:str}/correct", pool="read")
def ask_to_correct(
    request: UserRequest, user_id: UserId, user_pages: NamedDependency[UserPages]
) -> Page:
    return user_pages.render_correction(request, user_id, {})


@get("/users/{user_id:str}/role", pool="read", guards=[require_recent_sign_in])
def ask_for_role(
    request: UserRequest, user_id: UserId, user_pages: NamedDependency[UserPages]
) -> Page:
    return user_pages.render_question(request, user_id, "role")


@get("/users/{user_id:str}/reset-second-factor", pool="read", guards=[require_recent_sign_in])
def ask_to_remove_factors(
    request: UserRequest, user_id: UserId, user_pages: NamedDependency[UserPages]
) -> Page:
    return user_pages.render_question(request, user_id, "reset_second_factor")


@get("/users/{user_id:str}/delete", pool="read", guards=[require_recent_sign_in])
def ask_to_delete(
    request: UserRequest, user_id: UserId, user_pages: NamedDependency[UserPages]
) -> Page:
    return user_pages.render_question(request, user_id, "delete")


HANDLERS = [show_account, ask_to_correct, ask_for_role, ask_to_remove_factors, ask_to_delete]
