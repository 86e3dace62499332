"""Syncs in Python: the call of the SDK, and a batch that was left open."""

from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from tests.support.users import checked_user, list_accounts

import anyscale
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_run import SyncRun, run_sync
from anyscale.domain.models.users import UserChanges
from anyscale.errors import BatchRefused, SyncStopped
from anyscale.server.settings import Settings
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminCreateUser, AdminImportUser


def people(*names: str, lastname: str = "Doe") -> list[AdminCreateUser]:
    return [AdminCreateUser(n.title(), f"{n}@example.com", lastname=lastname) for n in names]


def test_a_list_of_everybody_is_synced() -> None:
    first = anyscale.user.sync(people("ann", "ben"))
    assert first.done
    assert (first.done.created, str(first.done)) == (2, "2 created")

    users = [*people("cid"), *people("ann", lastname="Roe")]
    plan = anyscale.user.sync(users, dry_run=True)
    assert [step.email for step in (*plan.create, *plan.correct, *plan.suspend)] == [
        *("cid@example.com", "ann@example.com", "ben@example.com"),
    ]
    assert plan.done is None
    with pytest.raises(SyncStopped, match="1 to suspend, and `--at-most-suspend` is 0") as stopped:
        anyscale.user.sync(users, at_most_suspend=0)
    assert stopped.value.plan.steps == 3
    with pytest.raises(BatchRefused, match="is not an email address"):
        anyscale.user.sync([AdminCreateUser("Ann", "ann")])
    done = anyscale.user.sync(users).done
    assert done
    assert str(done) == "1 created, 1 corrected, 1 suspended"
    assert [user.email for user in anyscale.user.list(suspended=True)] == ["ben@example.com"]
    nothing = anyscale.user.sync(users)
    assert (nothing.steps, str(nothing.done)) == (0, "nothing changed")


def test_the_passwords_of_a_list_are_not_set() -> None:
    anyscale.user.sync([AdminCreateUser("Ann", "ann@example.com", password="zq-canary-19")])
    (user,) = anyscale.user.list(without_credentials=True)
    assert user.email == "ann@example.com"


class Killed(BaseException):
    """The process ends: no clean-up reaches the control plane."""


def test_a_sync_that_was_killed_while_it_created_is_continued_and_repeated_after_a_deletion(
    tmp_path: Path,
) -> None:
    users = people(*(f"u{at}" for at in range(1_001)))

    def run(transport: EmbeddedTransport) -> SyncRun:
        options = SyncOptions(at_most_suspend=2_000)
        return SyncRun(transport, ListSource(users), options, drop_command=str)

    settings = Settings.from_environment({"ANYSCALE_DATA_DIR": str(tmp_path)}, served=False)
    with closing(EmbeddedTransport(settings)) as transport:
        killed = run(transport)
        batches = killed_batches(transport)
        plan = killed.plan()
        with suppress(Killed):
            killed.apply(plan)
        assert batches == ["publish", "drop"]

    with closing(EmbeddedTransport(settings)) as transport:
        again = run(transport)
        plan = again.plan()
        assert (len(plan.create), plan.blocked) == (1_001, [])
        again.apply(plan)
        assert again.result.created == 1_001
        (batch,) = transport.batches.list(open_only=False, before="", limit=10)
        assert again.result.batch_id == batch.batch_id

        # The same users once more: the batch that created them before is not taken for a new one.
        part = transport.batches.undo(batch.batch_id, "", force=False, dry_run=False)
        while part.after:
            part = transport.batches.undo(batch.batch_id, part.after, force=False, dry_run=False)
        third = run(transport)
        third.apply(third.plan())
        assert third.result.created == 1_001


def test_the_progress_of_corrections_is_at_most_their_number(tmp_path: Path) -> None:
    def user(number: int, email: str, lastname: str) -> AdminImportUser:
        return AdminImportUser(
            "Ann", f"{email}@example.com", lastname=lastname, external_id=str(number)
        )

    shown: list[tuple[str, int, int]] = []
    before = [user(number, f"a{number}", "Doe") for number in range(4)]
    after = [user(0, "b0", "Roe"), *(user(number, f"a{number}", "Roe") for number in range(1, 4))]
    settings = Settings.from_environment({"ANYSCALE_DATA_DIR": str(tmp_path)}, served=False)
    with closing(EmbeddedTransport(settings)) as transport:
        run_sync(transport, ListSource(before), SyncOptions(), dry_run=False)
        run = SyncRun(
            *(transport, ListSource(after), SyncOptions()),
            drop_command=str,
            on_progress=lambda *progress: shown.append(progress),
        )
        run.apply(run.plan())
    assert str(run.result) == "4 corrected"
    assert shown[-5:] == [*(("Correcting", at, 4) for at in range(4)), ("Changing emails", 0, 1)]


def test_an_email_that_another_sync_has_given_already_keeps_no_account_from_its_correction(
    tmp_path: Path,
) -> None:
    def user(number: str, email: str, lastname: str) -> AdminImportUser:
        return AdminImportUser("A", f"{email}@example.com", lastname=lastname, external_id=number)

    settings = Settings.from_environment({"ANYSCALE_DATA_DIR": str(tmp_path)}, served=False)
    with closing(EmbeddedTransport(settings)) as transport:
        before = ListSource([user("1", "ann", "Doe"), user("2", "ben", "Doe")])
        run_sync(transport, before, SyncOptions(), dry_run=False)
        after = ListSource([user("1", "ann.roe", "Roe"), user("2", "ben", "Roe")])
        run = SyncRun(transport, after, SyncOptions(), drop_command=str)
        plan = run.plan()
        for old, new in (("ann", "ann.roe"), ("ben", "ben.doe")):
            (account,) = filter(None, transport.users.find([f"{old}@example.com"]))
            transport.users.update(account.user_id, UserChanges(email=f"{new}@example.com"))
        run.apply(plan)
        names = {one.email: one.lastname for one in list_accounts(transport)}
    assert names == {"ann.roe@example.com": "Roe", "ben.doe@example.com": "Doe"}


def killed_batches(transport: EmbeddedTransport) -> list[str]:
    """Let the process end when a batch is published; return the calls that were too late."""
    calls: list[str] = []

    def end(name: str) -> None:
        def call(*_: object, **__: object) -> None:
            calls.append(name)
            raise Killed

        setattr(transport.batches, name, call)

    end("publish")
    end("drop")
    return calls


def test_users_whose_accounts_were_deleted_are_created_again() -> None:
    for _ in range(2):
        done = anyscale.user.sync(people("ann")).done
        assert done
        assert done.created == 1
        anyscale.user.delete(email="ann@example.com")


@pytest.mark.parametrize("reserved", ["ann@example.com", "other@example.com"])
def test_what_an_open_batch_has_reserved_blocks_its_user_and_nobody_else(
    tmp_path: Path, reserved: str
) -> None:
    """The batch has the email and the number of Ann, or only the number."""
    settings = Settings.from_environment({"ANYSCALE_DATA_DIR": str(tmp_path)}, served=False)
    users = [
        AdminImportUser(name, f"{name.lower()}@example.com", external_id=str(number))
        for number, name in enumerate(("Ann", "Ben"))
    ]
    with closing(EmbeddedTransport(settings)) as transport:
        batch = transport.batches.open("open", "fail")
        ann = structs.replace(checked_user(reserved), external_id="0")
        assert transport.batches.reserve(batch.batch_id, 0, [ann]).users == 1
        plan = run_sync(transport, ListSource(users), SyncOptions(), dry_run=False)
    assert [step.email for step in plan.blocked] == ["ann@example.com"]
    assert str(plan.done) == "1 created"


@pytest.mark.parametrize("numbers", [("1", None), (None, "1")])
def test_a_number_that_changes_between_two_readings_loses_no_entry_and_repeats_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: tuple[str | None, str | None]
) -> None:
    """The file is read again, since the accounts of Bob and, at one of the times, Ann have one."""
    monkeypatch.setenv("ANYSCALE_DATA_DIR", str(tmp_path))
    before, after = numbers
    accounts = zip(("ann", "bob"), (before, "2"), strict=True)
    anyscale.user.sync(
        AdminImportUser(name, f"{name}@example.com", external_id=number)
        for name, number in accounts
    )
    settings = Settings.from_environment({"ANYSCALE_DATA_DIR": str(tmp_path)}, served=False)
    with closing(EmbeddedTransport(settings)) as transport:
        find, calls = transport.users.find, count()

        def find_after_a_change(*arguments: Any) -> Any:
            if next(calls) == 1:
                anyscale.user.update(email="ann@example.com", external_id=after)
            return find(*arguments)

        monkeypatch.setattr(transport.users, "find", find_after_a_change)
        users = [
            AdminCreateUser(name, f"{name}@example.com", title="Dr") for name in ("ann", "bob")
        ]
        plan = run_sync(transport, ListSource(users), SyncOptions(), dry_run=True)
    assert [step.email for step in plan.correct] == ["ann@example.com", "bob@example.com"]
    assert (plan.checked, plan.suspend) == (2, [])


@pytest.mark.parametrize("change", ["email", "number", "new account"])
def test_nobody_who_gets_an_email_or_a_number_of_the_list_during_the_plan_is_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setenv("ANYSCALE_DATA_DIR", str(tmp_path))
    email = "old@example.com" if change == "number" else "new@example.com"
    anyscale.user.sync(people("ann") if change == "new account" else people("ann", "old"))
    users = [*people("ann"), AdminImportUser("Old", "new@example.com", external_id="1")]
    settings = Settings.from_environment({"ANYSCALE_DATA_DIR": str(tmp_path)}, served=False)
    with closing(EmbeddedTransport(settings)) as transport:
        list_users, calls = transport.users.list, count()

        def list_after_a_change(*arguments: Any) -> Any:
            if next(calls) == 0:
                change_one()
            return list_users(*arguments)

        def change_one() -> None:
            if change == "new account":
                transport.batches.create("late", [checked_user(email, name="Old")], "fail", [])
                return
            (old,) = filter(None, transport.users.find(["old@example.com"]))
            is_email = change == "email"
            changes = UserChanges(email=email) if is_email else UserChanges(external_id="1")
            transport.users.update(old.user_id, changes)

        monkeypatch.setattr(transport.users, "list", list_after_a_change)
        plan = run_sync(transport, ListSource(users), SyncOptions(), dry_run=False)
        assert str(plan.done) == "nothing changed"
        assert plan.blocked[0].email == email
        run_sync(transport, ListSource(users), SyncOptions(), dry_run=False)
    assert {user.email: user.external_id for user in anyscale.user.list(suspended=False)} == {
        "ann@example.com": None,
        "new@example.com": "1",
    }
