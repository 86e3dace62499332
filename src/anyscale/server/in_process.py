"""The calls of a control plane in this process, for one caller.

The classes are those of `transport.base`, by subject, which this module does not import: the server
imports nothing of the client. Most calls are a method of a service, bound to the caller; a method
stands here only for what does more.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Concatenate, Literal, ParamSpec, TypeVar

from anyscale.domain.models.mail import Mail
from anyscale.domain.models.sync import GivenAnswer
from anyscale.domain.schemas.batches import UndoPart
from anyscale.domain.schemas.mail import MailingPage
from anyscale.domain.schemas.users import UserPage
from anyscale.domain.user_query import UserQuery
from anyscale.errors import Overloaded
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import Caller

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: What a call needs the control plane for. Without a database only `create` creates one, and the
#: others see an empty one. A user is told so by `list` and `search`. Words are indexed before
#: `search`.
Need = Literal["read", "list", "search", "change", "create"]


class _Calls:
    """The calls of one caller, to the control plane that `opened` returns."""

    def __init__(self, opened: Callable[[Need], ControlPlane], caller: Caller) -> None:
        self.opened = opened
        self.caller = caller


def _by_caller(
    need: Need,
    service: Callable[[ControlPlane], Callable[Concatenate[Caller, Arguments], Result]],
) -> Callable[Concatenate[_Calls, Arguments], Result]:
    """Return a method that makes a call of a service for the caller."""

    def call(calls: _Calls, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return service(calls.opened(need))(calls.caller, *args, **kwargs)

    return call


def _by_anyone(
    need: Need, service: Callable[[ControlPlane], Callable[Arguments, Result]]
) -> Callable[Concatenate[_Calls, Arguments], Result]:
    """Return a method that makes a call of a service that is the same for every caller."""

    def call(calls: _Calls, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return service(calls.opened(need))(*args, **kwargs)

    return call


class Batches(_Calls):
    """Batches: see `transport.base.Batches`."""

    create = _by_caller("create", lambda to: to.batches.create)
    look_up = _by_anyone("read", lambda to: to.batches.look_up)
    find = _by_anyone("read", lambda to: to.batches.find)
    open = _by_caller("create", lambda to: to.batches.open)
    # To read: `open` has opened it to write, or a dry run compares a published batch.
    reserve = _by_caller("read", lambda to: to.batches.reserve)
    conflicts = _by_anyone("read", lambda to: to.batches.conflicts)
    hash = _by_caller("change", lambda to: to.batches.hash)
    publish = _by_caller("read", lambda to: to.batches.publish)
    drop = _by_caller("change", lambda to: to.batches.drop)
    show = _by_caller("read", lambda to: to.batches.show)
    created = _by_anyone("read", lambda to: to.batches.created)
    list = _by_anyone("list", lambda to: to.batches.page)

    def release(self, batch_id: str) -> None:
        while True:
            with suppress(Overloaded):  # it releases a part at a time
                return self.opened("change").batches.release(self.caller, batch_id)

    def undo(self, batch_id: str, after: str, *, force: bool, dry_run: bool) -> UndoPart:
        batches = self.opened("read" if dry_run else "change").batches
        return batches.undo(self.caller, batch_id, after, force=force, dry_run=dry_run)


class Users(_Calls):
    """Accounts: see `transport.base.Users`."""

    find = _by_anyone("list", lambda to: to.users.find)
    update = _by_caller("change", lambda to: to.updates.update)
    change_emails = _by_caller("change", lambda to: to.updates.change_emails)
    suspend = _by_caller("change", lambda to: to.lifecycle.suspend)
    restore = _by_caller("change", lambda to: to.lifecycle.restore)
    delete = _by_caller("change", lambda to: to.lifecycle.delete)
    set_role = _by_caller("change", lambda to: to.lifecycle.set_role)
    reset_second_factor = _by_caller("change", lambda to: to.factor_removal.remove_all)
    export = _by_anyone("list", lambda to: to.exports.page)

    def answer_questions(self, answers: Sequence[GivenAnswer], *, dry_run: bool) -> list[bool]:
        syncs = self.opened("read" if dry_run else "change").syncs
        return syncs.answer(self.caller, answers, dry_run=dry_run)

    def list(self, query: UserQuery, cursor: str, limit: int) -> UserPage:
        is_new_search = bool(query.search) and not cursor
        if is_new_search:
            self.opened("read").listing.check(query)
        return self.opened("search" if is_new_search else "list").listing.page(query, cursor, limit)


class Links(_Calls):
    """Set-password links: see `transport.base.Links`."""

    create = _by_caller("change", lambda to: to.links.create)
    without_credentials = _by_anyone("read", lambda to: to.links.without_credentials)


class Mails(_Calls):
    """Mail: see `transport.base.Mails`."""

    def send_links(self, user_ids: Sequence[str]) -> None:
        self._with_relay("change" if user_ids else "read").links.mail(self.caller, user_ids)

    def send_links_to_many(self, batch_id: str) -> None:
        self._with_relay("change").links.mail_many(self.caller, batch_id)

    def list_mailings(self, before: str, limit: int) -> MailingPage:
        queue = self._with_relay("list").mail_queue
        return MailingPage(queue.list_mailings(before, limit), queue.count_single())

    def list(self, after: str, limit: int, *, failed: bool) -> Sequence[Mail]:
        queue = self._with_relay("list").mail_queue
        return queue.list_mails(failed=failed, after=after, limit=limit)

    def stop(self, which: str) -> Sequence[str]:
        return self._with_relay("change").mail_queue.stop(self.caller, which)

    def _with_relay(self, need: Need) -> ControlPlane:
        """Refuse mail where no server could send it, before a database is created."""
        self.opened("read").outbox.require_relay()
        return self.opened(need)


class Applications(_Calls):
    """Applications: see `transport.base.Applications`."""

    create = _by_caller("create", lambda to: to.applications.create)
    list = _by_anyone("list", lambda to: to.applications.list)
    get = _by_anyone("read", lambda to: to.applications.get)
    update = _by_caller("change", lambda to: to.applications.update)
    rotate_secret = _by_caller("change", lambda to: to.applications.rotate_secret)
    delete = _by_caller("change", lambda to: to.applications.delete)


class Audit(_Calls):
    """The audit log: see `transport.base.Audit`."""

    list = _by_anyone("list", lambda to: to.audit_log.list)
