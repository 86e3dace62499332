"""The calls of an open control plane in its own process, for a caller with a token."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.callers import OPERATOR, token_caller
from tests.support.run_keys import OnceKey
from tests.support.users import POLICY, checked_users, list_accounts, users_to_create

from anyscale.batch_run.run import BatchRun
from anyscale.domain.validation import Policy
from anyscale.errors import NotAuthenticated, NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches import cleanup
from anyscale.server.core.batches.service import BatchService
from anyscale.server.core.callers import Caller
from anyscale.server.in_process import Applications, Audit, Batches, Links, Mails, Need, Users
from anyscale.transport import base
from anyscale.transport.base import Transport
from anyscale.transport.http.transport import HttpTransport
from anyscale.user.list_source import ListSource


class InProcess:
    """A transport without a database of its own."""

    where = "this process"
    reservations_at_once = hashes_at_once = 1
    retries = 0

    def __init__(
        self,
        control_plane: ControlPlane,
        caller: Caller,
        on_notice: Callable[[str], None] = pytest.fail,
    ) -> None:
        self.on_notice = on_notice

        def opened(_: Need) -> ControlPlane:
            return control_plane

        self.batches = Batches(opened, caller)
        self.users = Users(opened, caller)
        self.links = Links(opened, caller)
        self.mails = Mails(opened, caller)
        self.applications = Applications(opened, caller)
        self.audit = Audit(opened, caller)

    def policy(self) -> Policy:
        return POLICY

    def cancel_retries(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def transport(control_plane: ControlPlane) -> Transport:
    return InProcess(control_plane, token_caller(control_plane, "jane"))


@pytest.mark.parametrize("names", ["a", "abcdefgh"], ids=["small", "large"])
def test_a_run_creates_users_for_its_caller(transport: Transport, names: str) -> None:
    users = ListSource(users_to_create(*names))
    outcome = BatchRun(transport, users, OnceKey("key"), if_exists="fail", drop_command=str).run()
    assert [user.email[0] for user in outcome.users] == list(names)
    assert sorted(user.email[0] for user in list_accounts(transport)) == list(names)
    actors = {entry.event: entry.actor for entry in transport.audit.list(0, 100)}
    assert actors["batch.published"] == "token:jane"


def test_the_release_of_a_large_batch_goes_on_until_all_emails_are_free(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = transport.batches.open("key", "fail")
    transport.batches.reserve(batch.batch_id, 0, checked_users("a"))
    limits = iter([-1.0, -1.0, 10.0])  # the time of the first calls is over before a row of them
    delete = cleanup.delete_rows

    def delete_rows(*arguments: Any) -> bool:
        monkeypatch.setattr(cleanup, "_SECONDS_A_CALL", next(limits))
        return delete(*arguments)

    monkeypatch.setattr(f"{BatchService.__module__}.delete_rows", delete_rows)
    transport.batches.release(batch.batch_id)
    assert transport.batches.look_up(checked_users("a"), 0) == []


def test_accounts_change_for_the_caller(transport: Transport) -> None:
    batch = transport.batches.create("key", checked_users("a"), "fail").batch
    (user,) = transport.links.without_credentials(batch.batch_id, "", 10)
    transport.users.suspend(user.user_id)
    (entry,) = transport.audit.list(0, 1, newest_first=True)
    assert (entry.event, entry.actor) == ("account.suspended", "token:jane")
    with pytest.raises(NotFound):
        transport.users.suspend("usr_none")


def test_a_caller_whose_token_was_revoked_changes_nothing(
    control_plane: ControlPlane, transport: Transport
) -> None:
    control_plane.tokens.revoke(OPERATOR, "jane")
    with pytest.raises(NotAuthenticated, match="was revoked"):
        transport.batches.create("key", checked_users("a"), "fail")
    with pytest.raises(NotAuthenticated, match="was revoked"):
        transport.users.delete("usr_none")


@pytest.mark.parametrize(
    "protocol",
    [base.Applications, base.Audit, base.Batches, base.Links, base.Mails, base.Users],
    ids=lambda protocol: protocol.__name__,
)
def test_each_call_has_the_names_of_its_protocol_in_both_transports(
    control_plane: ControlPlane, protocol: type
) -> None:
    # The type checker compares all but the names of parameters that have a position.
    here = InProcess(control_plane, OPERATOR)
    there = HttpTransport("http://127.0.0.1", "token")
    calls = inspect.getmembers(protocol, inspect.isfunction)
    names = [name for name, _ in calls if not name.startswith("_")]
    assert names
    for name in names:
        expected = names_by_position(getattr(protocol, name))[1:]
        for transport in (here, there):
            call = getattr(getattr(transport, protocol.__name__.lower()), name)
            assert names_by_position(called(call, control_plane))[: len(expected)] == expected, name


def called(call: Callable[..., Any], control_plane: ControlPlane) -> Callable[..., Any]:
    """Return the method of a service that a call makes, or the call itself."""
    service = inspect.getclosurevars(call).nonlocals.get("service")
    return service(control_plane) if service else call


def names_by_position(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    by_position = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    return [name for name in by_position if name != "caller"]
