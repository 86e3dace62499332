"""Syncs that meet: two at once, and random ones among changes by hand."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.servers.control_planes import NewDeployment, embedded_transport
from tests.support.users import list_accounts

from anyscale.domain.models.sync import SyncPlan
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused, EmailFreed, EmailTaken, LastOwner
from anyscale.transport.base import Transport
from anyscale.user.comparison.sync_planner import SyncOptions
from anyscale.user.comparison.sync_run import SyncRun
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminCreateUser, AdminImportUser

ALL = SyncOptions(restore=True, at_most_suspend=1_000, at_most_correct=1_000)
NUMBER_OF_HISTORY = count()


def sync(transport: Transport, users: Sequence[AdminCreateUser]) -> SyncRun:
    return SyncRun(transport, ListSource(users), ALL, drop_command=str)


def person(number: int, email: str, lastname: str = "Doe") -> AdminImportUser:
    return AdminImportUser(
        f"Name {number}", f"{email}@example.com", lastname=lastname, external_id=str(number)
    )


@pytest.mark.both_stores
def test_two_syncs_at_once_do_what_one_does(new_deployment: NewDeployment) -> None:
    first = [person(at, f"u{at}") for at in range(40)]
    # Ten pass their emails on in a circle, ten get another last name, ten leave, ten are new.
    second = [
        *(person(at, f"u{(at + 1) % 10}") for at in range(10)),
        *(person(at, f"u{at}", "Roe") for at in range(10, 20)),
        *first[20:30],
        *(person(at, f"u{at}") for at in range(40, 50)),
    ]
    with new_deployment(over_http=True) as deployment:
        transports = [deployment.transport(Policy()) for _ in range(2)]
        for users in (first, second, first):
            start = Barrier(2)

            def run(
                transport: Transport,
                users: Sequence[AdminCreateUser] = users,
                start: Barrier = start,
            ) -> SyncRun:
                one = sync(transport, users)
                plan = one.plan()
                start.wait(30)
                one.apply(plan)
                return one

            with ThreadPoolExecutor(2) as pool:
                list(pool.map(run, transports))
            active = {
                (user.external_id, user.email, user.lastname)
                for user in list_accounts(transports[0])
                if user.suspended_at is None
            }
            assert active == {(user.external_id, user.email, user.lastname) for user in users}
            again = sync(transports[0], users).plan()
            assert (again.steps, again.blocked) == (0, [])
        assert len(list_accounts(transports[0])) == 50
        for transport in transports:
            transport.close()


NUMBERS = st.integers(0, 5)
PEOPLE = st.builds(
    lambda number, email, lastname: person(number, f"e{email}", lastname),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["Doe", "Roe"]),
)
FILES = st.lists(
    PEOPLE, min_size=3, max_size=6, unique_by=(lambda one: one.email, lambda one: one.external_id)
)
BY_HAND = st.tuples(st.sampled_from(["suspend", "restore", "own", "email", "delete"]), NUMBERS)


# A file between any two changes by hand, so that each of them meets a sync.
HISTORIES = st.lists(st.tuples(FILES, BY_HAND), min_size=2, max_size=6).map(
    lambda rounds: [step for one in rounds for step in one] + [rounds[0][0]]
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HISTORIES)
def test_no_history_touches_an_owner_merges_two_people_or_opens_what_was_closed_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[list[AdminImportUser] | tuple[str, int]],
) -> None:
    folder = tmp_path_factory.mktemp(f"history{next(NUMBER_OF_HISTORY)}")
    with closing(embedded_transport(folder, Policy())) as transport:
        for step in steps:
            if isinstance(step, tuple):
                change_by_hand(transport, *step)
            else:
                sync_and_check(transport, step)


def change_by_hand(transport: Transport, kind: str, number: int) -> None:
    accounts = list_accounts(transport)
    if not accounts:
        return
    user_id = accounts[number % len(accounts)].user_id
    with suppress(LastOwner, EmailTaken, EmailFreed):
        match kind:
            case "suspend":
                transport.users.suspend(user_id)
            case "restore":
                transport.users.restore(user_id)
            case "own":
                transport.users.set_role(user_id, "owner")
            case "email":
                transport.users.update(user_id, UserChanges(email=f"e{number}@example.com"))
            case "delete":
                transport.users.delete(user_id)


def sync_and_check(transport: Transport, users: list[AdminImportUser]) -> None:
    before = {one.user_id: one for one in list_accounts(transport)}
    run = sync(transport, users)
    try:
        plan = run.plan()
    except BatchRefused:  # a number or an email may be another person's
        assert {one.user_id: one for one in list_accounts(transport)} == before
        return
    if plan.stops:
        return
    run.apply(plan)
    # A plan does not know which emails other accounts had in the last 30 days.
    refused = run.result.left
    assert all("was the email of another account" in step.reason for step in refused)
    after = {one.user_id: one for one in list_accounts(transport)}
    check(before, after, plan, users, {step.user_id for step in [*plan.left, *refused]})
    again = sync(transport, users).plan()
    assert (again.steps, len(again.left), len(again.blocked)) == (
        *(len(refused), len(plan.left), len(plan.blocked)),
    )


def check(
    before: dict[str, User],
    after: dict[str, User],
    plan: SyncPlan,
    users: list[AdminImportUser],
    left: set[str | None],
) -> None:
    assert set(before) <= set(after)
    assert len(after) == len(before) + len(plan.create)
    entries = {one.external_id: one for one in users}
    for user_id, was in before.items():
        now = after[user_id]
        if was.permission_level == "owner" or (was.suspended_at and not was.suspended_by_sync):
            assert now == was
        if was.external_id and now.suspended_at is None and user_id not in left:
            # The number says who it is; another one only for the same email and a name alike.
            assert now.external_id == was.external_id or (
                (now.email, now.lastname) == (was.email, was.lastname)
            )
            assert now.external_id
            assert entries[now.external_id].email == now.email
