"""Clients that take steps by the SDK, each call of which a test can watch."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from threading import Lock, local
from typing import Any, NamedTuple

from tests.resilience.histories.steps import (
    ChangeEmails,
    Create,
    Delete,
    Entry,
    Finish,
    Reserve,
    Restore,
    SetRole,
    Step,
    Suspend,
    Sync,
    Undo,
    Update,
)

import anyscale
from anyscale.config import resolve
from anyscale.domain.validation import CheckedUser, Policy, check
from anyscale.errors import AnyscaleError, BatchRefused, SyncStopped
from anyscale.transport import open_transport
from anyscale.transport.base import Transport
from anyscale.user.models import AdminCreateUser, AdminImportUser


class Moment:
    """The moment before or after one of the calls of a client, at which something happens once.

    Args:
        number: of the call, from 0.
        is_after: whether it is after the call.
        happen: is called then.
    """

    def __init__(self, number: int, happen: Callable[[], None], *, is_after: bool = False) -> None:
        self._number = number
        self._is_after = is_after
        self._happen = happen
        self._lock = Lock()
        self._calls = 0
        self.has_come: bool = False

    def call(self, make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with self._lock:
            is_it = self._calls == self._number
            self._calls += 1
        if is_it and not self._is_after:
            self._come()
        result = make(*arguments, **options)
        if is_it and self._is_after:
            self._come()
        return result

    def _come(self) -> None:
        self.has_come = True
        self._happen()


class _Watched:
    """A transport, or the calls of one subject, each of which a moment may precede."""

    def __init__(self, calls: Any, moment: Moment) -> None:
        self._calls = calls
        self._moment = moment

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._calls, name)
        if name in ("batches", "users"):
            return _Watched(value, self._moment)
        if not callable(value) or name in ("close", "cancel_retries", "on_notice"):
            return value
        return lambda *arguments, **options: self._moment.call(value, *arguments, **options)


_watching = local()


@contextmanager
def watch_calls(moment: Moment) -> Iterator[None]:
    """Let a moment come among the calls that this thread makes by the SDK in the block."""
    _watching.moment = moment
    try:
        yield
    finally:
        _watching.moment = None


def open_watched(*arguments: Any, **options: Any) -> Transport:
    """Open a transport for the SDK, whose calls `watch_calls` may watch."""
    transport: Any = open_transport(*arguments, **options)
    moment = getattr(_watching, "moment", None)
    return _Watched(transport, moment) if moment else transport


class Client(NamedTuple):
    """Takes steps on one control plane."""

    host: str
    token: str | None = None

    def take(self, step: Step) -> object:
        """Take a step; return its outcome, in the form of `Model.take`."""
        sdk = anyscale.Anyscale(self.host, self.token)
        try:
            return self._take(sdk, step) or "done"
        except SyncStopped as stopped:
            return outcome_of_plan(stopped.plan.to_dict())
        except AnyscaleError as error:
            return refusal(error.code, error.problems if isinstance(error, BatchRefused) else ())

    def _take(self, sdk: anyscale.Anyscale, step: Step) -> object:
        users, batches = sdk.user, sdk.batch
        match step:
            case Sync(entries, options):
                return outcome_of_plan(users.sync(_users(entries), **_options(options)).to_dict())
            case Create(entries, if_exists):
                created = users.admin_batch_create(_users(entries), if_exists=if_exists)  # type: ignore[arg-type]  # one of the two
                return f"{len(created)} created"
            case Update(user_id, changes, reuse_email):
                others = {("new_email" if f == "email" else f): v for f, v in changes.items()}
                users.update(user_id=user_id, reuse_email=reuse_email, **others)  # type: ignore[arg-type]  # of the right types
            case Suspend(user_id):
                users.suspend(user_id=user_id)
            case Restore(user_id):
                users.restore(user_id=user_id)
            case SetRole(user_id, is_owner):
                users.set_role(user_id=user_id, role="owner" if is_owner else "collaborator")
            case Delete(user_id):
                users.delete(user_id=user_id)
            case Undo(batch, force):
                return f"{batches.undo(batch, force=force).removed} deleted"
            case Finish(batch, publish) if not publish:
                batches.drop(batch)
            case _:
                return self._call(step)
        return None

    def _call(self, step: Step) -> object:
        """Take a step for which the SDK has no call."""
        with closing(open_transport(resolve(self.host, self.token))) as transport:
            match step:
                case ChangeEmails(changes):
                    transport.users.change_emails(changes)
                case Reserve(entries):
                    batch = transport.batches.open(secrets.token_hex(8), "fail")
                    users = list(map(_checked, entries))
                    return f"{transport.batches.reserve(batch.batch_id, 0, users).users} reserved"
                case Finish(batch_id, _, users_of_it):
                    transport.batches.publish(batch_id, users_of_it)
        return None


def refusal(code: str, problems: Iterable[Any] = ()) -> object:
    """Return the outcome of a refused call."""
    found = frozenset((problem.index, problem.code) for problem in problems)
    return (code, found) if found else code


def outcome_of_plan(plan: Mapping[str, Any]) -> object:
    """Return the outcome of a sync, in the form of `SyncModel.run`."""
    done = plan["done"]
    counts = done and [done[name] for name in ("created", "corrected", "restored", "suspended")]
    return (
        ("create", frozenset(step["index"] for step in plan["create"])),
        (
            "correct",
            frozenset((s["user_id"], *sorted(s["changes"].items())) for s in plan["correct"]),
        ),
        ("restore", frozenset(step["user_id"] for step in plan["restore"])),
        ("suspend", frozenset(step["user_id"] for step in plan["suspend"])),
        ("left", _places(plan["left"])),
        ("blocked", _places(plan["blocked"])),
        ("questions", _places(plan["questions"])),
        ("stopped", bool(plan["stops"])),
        ("done", done and (*counts, _places(done["left"]))),
    )


def _places(steps: Sequence[Mapping[str, Any]]) -> object:
    return frozenset((step["user_id"], step["index"]) for step in steps)


def _options(options: Any) -> dict[str, Any]:
    # Only the console limits the steps: it keeps a plan in the memory of the server. Answers are in
    # the histories of months.
    names = set(options.__struct_fields__) - {
        "most_steps",
        "answers",
        "same_person",
        "they_differ",
        "renumbered",
    }
    return {name: getattr(options, name) for name in names}


def _users(entries: Iterable[Entry]) -> list[AdminCreateUser]:
    return [
        (AdminImportUser if "external_id" in entry else AdminCreateUser)(**entry)  # type: ignore[arg-type]  # name and email are texts
        for entry in entries
    ]


def _checked(entry: Entry) -> CheckedUser:
    values: dict[str, Any] = dict(entry)
    user = check(Policy(), password=None, is_sso_user=False, **values)
    assert user
    return user
