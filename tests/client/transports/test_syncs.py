"""Syncs that meet others: `tests/resilience/histories` has random ones."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

import pytest
from msgspec import structs
from tests.client.transports.steps import Connect
from tests.support.at_once import at_once
from tests.support.servers.control_planes import NewDeployment
from tests.support.users import checked_users, list_accounts

from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_run import SyncRun, run_sync
from anyscale.domain.models.batches import Conflict
from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.errors import BatchRefused
from anyscale.transport.base import Transport
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminCreateUser, AdminImportUser

ALL = SyncOptions(restore=True, at_most_suspend=1_000, at_most_correct=1_000)


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
            runs = [sync(transport, users) for transport in transports]
            at_once([partial(run.apply, run.plan()) for run in runs])
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


def by_sso(number: int, email: str = "") -> AdminImportUser:
    return structs.replace(person(number, email or f"u{number}"), is_sso_user=True)


def test_where_everybody_signs_in_by_sso_a_sync_stops_only_for_a_new_user_who_does_not(
    connect: Connect,
) -> None:
    with closing(connect(Policy(sso_only=True))) as transport:
        run_sync(transport, ListSource(map(by_sso, range(3))), ALL, dry_run=False)
        # The first one has left, another one has another email, the third one stays; two are new.
        users = [by_sso(1, "new"), *map(by_sso, (2, 3)), person(4, "u4")]
        with pytest.raises(BatchRefused, match=r"1 problem.*\n.*\[3\].is_sso_user: must be true"):
            run_sync(transport, ListSource(users), ALL, dry_run=False)
        assert not any(user.suspended_at for user in list_accounts(transport))
        plan = run_sync(transport, ListSource(users[:3]), ALL, dry_run=False)
        assert str(plan.done) == "1 created, 1 corrected, 1 suspended"
        # The limits are about the others: the accounts of people who left become ever more.
        assert sync(transport, users[:3]).plan().accounts == 3


@pytest.fixture
def served(new_deployment: NewDeployment) -> Iterator[Transport]:
    """A transport over HTTP, with the limits of production."""
    with new_deployment(over_http=True) as deployment:
        transport = deployment.transport(Policy())
        yield transport
        transport.close()


def test_an_account_that_somebody_changes_after_the_plan_is_left_and_named(
    served: Transport,
) -> None:
    everybody = [person(at, f"u{at}") for at in range(8)]
    for users in (everybody, everybody[:5] + everybody[6:]):
        one = sync(served, users)
        one.apply(one.plan())
    ids = {user.external_id: user.user_id for user in list_accounts(served)}
    run = sync(
        served,
        [
            *(person(0, "u0", "Roe"), person(1, "new1"), person(2, "new2"), person(3, "u3", "Roe")),
            *(person(5, "u5"), person(6, "new6", "Roe"), person(7, "u7", "Roe")),
        ],
    )
    plan = run.plan()
    assert (len(plan.correct), len(plan.suspend), len(plan.restore)) == (6, 1, 1)
    renamed = UserChanges(name="Other", lastname="Other")
    served.users.set_role(ids["0"], "owner")
    served.users.update(ids["1"], renamed)
    served.users.update(ids["2"], UserChanges(external_id=None))
    served.users.suspend(ids["3"])
    served.users.update(ids["4"], renamed)
    served.users.update(ids["5"], renamed)
    served.users.set_role(ids["6"], "owner")
    before = {user.user_id: user for user in list_accounts(served)}
    run.apply(plan)
    edited = "somebody has edited the account since: another"
    role = "somebody has changed the role of the account since"
    assert {step.email: step.reason for step in run.result.left} == {
        "u0@example.com": role,
        "u1@example.com": f"{edited} name, lastname was expected",
        "u2@example.com": f"{edited} external_id was expected",
        "u3@example.com": "somebody has suspended the account since",
        "u4@example.com": f"{edited} name, lastname was expected",
        "u5@example.com": f"{edited} name, lastname was expected",
        "u6@example.com": role,
    }
    after = {user.user_id: user for user in list_accounts(served)}
    assert before.pop(ids["7"]) != after.pop(ids["7"])
    assert before == after


def test_a_plan_names_emails_and_numbers_that_accounts_cannot_get_yet_and_asks_once_for_all(
    served: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnumbered = AdminCreateUser("Name 9", "u9@example.com", lastname="Doe")
    first = sync(served, [*(person(at, f"u{at}") for at in range(5)), unnumbered])
    first.apply(first.plan())
    ids = {user.external_id: user.user_id for user in list_accounts(served)}
    served.users.update(ids["0"], UserChanges(email="new0@example.com"))
    batch_id = served.batches.open("left-open", "fail").batch_id
    (user,) = checked_users("reserved")
    served.batches.reserve(batch_id, 0, [structs.replace(user, external_id="9")])
    calls: list[int] = []
    look_up = served.batches.look_up

    def noted(users: Sequence[CheckedUser], first: int) -> list[Conflict]:
        calls.append(len(users))
        return look_up(users, first)

    monkeypatch.setattr(served.batches, "look_up", noted)
    people = [
        *(person(0, "new0"), person(1, "u0", "Roe"), person(2, "u1"), person(3, "reserved")),
        *(person(4, "new4"), person(9, "u9", "Roe")),
    ]
    run = sync(served, people)
    plan = run.plan()
    assert calls == [4, 1], "emails, then numbers"
    freed, reserved, number = plan.blocked
    assert [(step.kind, step.index) for step in plan.blocked] == [
        *(("leave", 1), ("leave", 3), ("leave", 5)),
    ]
    assert "'u0@example.com' was the email of another account until" in freed.reason
    assert "`anyscale user update` with `--reuse-email`" in freed.reason
    assert f"is reserved by the unfinished batch {batch_id}" in reserved.reason
    assert number.reason.startswith(f"'9' is reserved by the unfinished batch {batch_id}")
    assert [step.reason for step in plan.left] == [
        "'u1@example.com' is the email of an account that stays"
    ]
    assert [(step.index, step.reason) for step in plan.correct] == [
        (1, "lastname: 'Doe' -> 'Roe'"),
        (4, "email: 'u4@example.com' -> 'new4@example.com'"),
        (5, "lastname: 'Doe' -> 'Roe'"),
    ]
    run.apply(plan)
    assert (str(run.result), run.result.left) == ("3 corrected", [])
    served.users.update(ids["0"], UserChanges(email="u0@example.com"))
    back = sync(served, [person(0, "new0")]).plan()
    assert [step.index for step in back.correct] == [0], "an account gets its own email again"
