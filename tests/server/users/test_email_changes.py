"""An account that gets another email: what stays, what is found, and which emails are refused."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from msgspec import structs
from tests.server.users.test_lifecycle import create_users, let_pass, owners, sessions
from tests.server.users.test_update import ISSUER, account, signed_in, sso_user
from tests.support.at_once import at_once
from tests.support.callers import OPERATOR, personal_token_caller, session_caller, token_caller
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.users import PASSWORD, checked_user, find_accounts

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.users import ExpectedUser, UserChanges
from anyscale.errors import (
    AccountEdited,
    AnyscaleError,
    BatchRefused,
    EmailFreed,
    EmailTaken,
    NotFound,
    NotPermitted,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts.email_changes import change_emails
from anyscale.server.core.audit.entries import append_entries, append_entry
from anyscale.server.core.callers import Caller, SignInTooOld
from anyscale.server.store.records.users import NewEmail


def change(
    control_plane: ControlPlane,
    user_id: str,
    email: str,
    caller: Caller = OPERATOR,
    *,
    reuse_email: bool = False,
) -> None:
    changes = UserChanges(email=email)
    control_plane.updates.update(caller, user_id, changes, reuse_email=reuse_email)


def change_several(
    control_plane: ControlPlane, emails: Mapping[str, str], *, reuse_email: bool = False
) -> None:
    with control_plane.store.write() as tx:
        locked = list(tx.accounts.lock(emails).values())
        outbox = control_plane.outbox
        entries = change_emails(tx, outbox, locked, emails, OPERATOR, reuse_email=reuse_email)
        append_entries(tx, entries)


def emails_of(control_plane: ControlPlane, *user_ids: str) -> list[str]:
    return [account(control_plane, user_id).email for user_id in user_ids]


def found(control_plane: ControlPlane, search: str) -> list[str]:
    return [user.email for user in find_accounts(control_plane, search=search)]


# What stays, and what is found


def test_an_account_with_another_email_keeps_all_but_its_unused_links(
    control_plane: ControlPlane,
) -> None:
    jane = sso_user(control_plane, "jane", PASSWORD)
    (joe,) = create_users(control_plane, "joe")
    control_plane.lifecycle.set_role(OPERATOR, jane, "owner")
    signed_in(control_plane, jane, "sso")
    with control_plane.store.write() as tx:
        tx.devices.save(b"device", jane, 7)
    token = personal_token_caller(control_plane, jane)
    before, open_sessions = account(control_plane, jane), sessions(control_plane, jane)
    control_plane.links.create(OPERATOR, [jane, joe])

    change(control_plane, jane, "jane.roe@example.com")

    assert account(control_plane, jane) == structs.replace(before, email="jane.roe@example.com")
    assert sessions(control_plane, jane) == open_sessions
    with control_plane.store.read() as tx:
        assert tx.identities.find(ISSUER, "jane") == jane
        assert tx.devices.is_known(b"device", jane, 0)
        kept = tx.tokens.get(token.token.hash)
        links = execute_sql(tx, "select user_id from links").fetchall()
    assert [row[0] for row in links] == [joe]
    assert kept
    assert kept.revoked_at is None


def test_the_audit_log_has_both_emails_and_the_entries_of_before_stay(
    control_plane: ControlPlane,
) -> None:
    (jane,) = create_users(control_plane, "jane")
    control_plane.updates.update(OPERATOR, jane, UserChanges(title="CTO"))
    changes = UserChanges(title=None, email="Roe@example.com")
    for _ in range(2):  # repeating a call changes nothing more
        control_plane.updates.update(OPERATOR, jane, changes)
    entries = [one for one in control_plane.audit_log.list(0, 100) if one.subject == jane]
    assert [(one.event, json.loads(one.data)) for one in entries] == [
        ("account.updated", {"fields": ["title"]}),
        ("account.updated", {"fields": ["title"]}),
        (
            "account.email_changed",
            {"old_email": "jane@example.com", "new_email": "Roe@example.com"},
        ),
    ]


@pytest.mark.both_stores
def test_a_search_for_an_email_that_an_account_had_finds_it_after_that_of_another_one(
    control_plane: ControlPlane,
) -> None:
    jane, joe = create_users(control_plane, "jane.miller", "joe")
    change(control_plane, jane, "jane.roe@new.example")
    for text in ("jane.miller@example.com", "Jane.MILLER@Example.com", "jane.mil"):
        assert found(control_plane, text) == ["jane.roe@new.example"]
    assert found(control_plane, "jane.roe") == ["jane.roe@new.example"]
    assert found(control_plane, "jane.millers@example.com") == []
    change(control_plane, joe, "jane.miller@example.com", reuse_email=True)
    assert found(control_plane, "jane.miller@example.com") == [
        "jane.miller@example.com",
        "jane.roe@new.example",
    ]
    let_pass(control_plane, 1_000)
    assert found(control_plane, "joe@example.com") == ["jane.miller@example.com"]


def test_the_new_email_signs_in_and_the_old_one_does_not(control_plane: ControlPlane) -> None:
    (jane,) = create_users(control_plane, "jane", password=PASSWORD)
    change(control_plane, jane, "roe@example.com")
    with control_plane.store.read() as tx:
        assert tx.accounts.find("jane@example.com") is None
        signs_in = tx.accounts.find("roe@example.com")
    assert signs_in == account(control_plane, jane)


def test_an_email_that_somebody_has_changed_since_is_not_overwritten(
    control_plane: ControlPlane,
) -> None:
    (jane,) = create_users(control_plane, "jane")
    seen = ExpectedUser(email="jane@example.com")
    change(control_plane, jane, "roe@example.com")
    with pytest.raises(AccountEdited, match="another email was expected"):
        control_plane.updates.update(OPERATOR, jane, UserChanges(email="doe@example.com"), seen)
    assert emails_of(control_plane, jane) == ["roe@example.com"]


def test_a_change_that_fails_half_way_changes_nothing(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jane,) = create_users(control_plane, "jane")
    control_plane.links.create(OPERATOR, [jane])

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anyscale.server.core.accounts.update.append_entries", fail)
    with pytest.raises(KeyboardInterrupt):
        change(control_plane, jane, "roe@example.com")
    assert emails_of(control_plane, jane) == ["jane@example.com"]
    with control_plane.store.read() as tx:
        assert execute_sql(tx, "select count(*) from links").fetchone()[0] == 1
    create_users(control_plane, "roe")


# Emails that are taken

SAME = {
    "ascii": ("mark@example.com", "MARK@Example.COM"),
    "Kelvin sign": ("mark@example.com", "mar\u212a@example.com"),
    "final sigma": (
        "\u03bd\u03b9\u03ba\u03bf\u03c3@example.com",
        "\u03bd\u03b9\u03ba\u03bf\u03c2@example.com",
    ),
    "decomposed": ("j\u00fcrgen@example.com", "ju\u0308rgen@example.com"),
    "A-label": ("mark@b\u00fccher.example", "mark@xn--bcher-kva.example"),
}


@pytest.mark.parametrize("kind", SAME)
def test_an_email_that_another_spelling_of_has_an_account_or_had_one_is_refused(
    control_plane: ControlPlane, kind: str
) -> None:
    email, other = SAME[kind]
    (jane,) = create_users(control_plane, "jane")
    created = control_plane.batches.create(OPERATOR, "k", [checked_user(email)], "fail")
    with pytest.raises(EmailTaken, match="has an account already"):
        change(control_plane, jane, other)
    (holder,) = (user.user_id for user in created.users)
    change(control_plane, holder, other)  # its own, in another spelling
    change(control_plane, holder, "new@example.com")
    for spelling in (email, other):
        with pytest.raises(EmailFreed):
            change(control_plane, jane, spelling)
    assert emails_of(control_plane, jane) == ["jane@example.com"]


def test_an_email_that_looks_like_another_one_is_another_one(control_plane: ControlPlane) -> None:
    # As for a new account: the key never folds letters of two scripts (decision of `email_key`).
    jane, _ = create_users(control_plane, "jane", "mark")
    change(control_plane, jane, "m\u0430rk@example.com")
    with control_plane.store.read() as tx:
        marked = tx.accounts.find("mark@example.com")
    assert marked
    assert marked.user_id != jane


def test_an_email_that_an_open_batch_has_reserved_is_refused(control_plane: ControlPlane) -> None:
    (jane,) = create_users(control_plane, "jane")
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, [checked_user("roe@example.com")])
    with pytest.raises(EmailTaken, match=f"reserved by the unfinished batch {batch.batch_id}"):
        change(control_plane, jane, "Roe@example.com", reuse_email=True)
    control_plane.batches.drop(OPERATOR, batch.batch_id)
    change(control_plane, jane, "Roe@example.com")


def one_succeeds(calls: Sequence[Callable[[], object]]) -> bool:
    """Make two calls at the same moment; return whether only one of them is done."""
    return sorted(at_once([partial(_is_done, call) for call in calls])) == [False, True]


def _is_done(call: Callable[[], object]) -> bool:
    try:
        call()
    except (EmailTaken, BatchRefused):
        return False
    return True


@pytest.mark.both_stores
def test_of_two_accounts_that_get_one_email_at_once_one_gets_it(
    control_plane: ControlPlane,
) -> None:
    for number in range(6):
        ids = create_users(control_plane, f"a{number}", f"b{number}")
        email = f"new{number}@example.com"
        assert one_succeeds([partial(change, control_plane, one, email) for one in ids])


@pytest.mark.both_stores
def test_of_an_account_and_a_new_one_that_get_one_email_at_once_one_gets_it(
    control_plane: ControlPlane,
) -> None:
    for number in range(6):
        (jane,) = create_users(control_plane, f"a{number}")
        name = f"new{number}"
        assert one_succeeds(
            [
                partial(change, control_plane, jane, f"{name}@example.com"),
                partial(create_users, control_plane, name),
            ]
        )


@pytest.mark.both_stores
def test_two_accounts_that_get_one_email_and_other_values_at_once_do_not_deadlock(
    control_plane: ControlPlane,
) -> None:
    jane, joe = create_users(control_plane, "jane", "joe")
    changes = UserChanges(name="New", title="CTO", external_id="7", email="new@example.com")
    new = [NewEmail(joe, "new@example.com", "new@example.com")]
    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            tx.accounts.lock([joe])
            assert tx.emails.reserve(new) == []
            waiting = pool.submit(control_plane.updates.update, OPERATOR, jane, changes)
            wait_until_blocked(control_plane.store, tx)
            tx.emails.replace(new, tx.now())
            append_entry(tx, "system", "account.email_changed", joe, {})
        with pytest.raises(EmailTaken):
            waiting.result()
    assert account(control_plane, jane).name == "Jane"


# Emails that were freed


def test_a_freed_email_is_given_to_no_other_account_for_30_days(
    control_plane: ControlPlane,
) -> None:
    jane, joe = create_users(control_plane, "jane", "joe")
    change(control_plane, jane, "roe@example.com")
    with pytest.raises(EmailFreed, match=r"until .* use `--reuse-email` \(`reuse_email`\)"):
        change(control_plane, joe, "JANE@example.com")
    change(control_plane, jane, "jane@example.com")  # it is still hers
    change(control_plane, jane, "roe@example.com")
    let_pass(control_plane, 29)
    with pytest.raises(EmailFreed):
        change(control_plane, joe, "jane@example.com")
    let_pass(control_plane, 1)
    change(control_plane, joe, "jane@example.com")
    assert emails_of(control_plane, jane, joe) == ["roe@example.com", "jane@example.com"]


def test_a_freed_email_is_given_to_another_account_on_request(control_plane: ControlPlane) -> None:
    jane, joe = create_users(control_plane, "jane", "joe")
    change(control_plane, jane, "roe@example.com")
    change(control_plane, joe, "jane@example.com", reuse_email=True)
    change(control_plane, joe, "joe@example.com")
    with pytest.raises(EmailFreed):  # the last one who had it is Joe by now
        change(control_plane, jane, "jane@example.com")
    change(control_plane, joe, "jane@example.com")
    assert emails_of(control_plane, joe) == ["jane@example.com"]


@pytest.mark.both_stores
@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_a_batch_gives_a_freed_email_to_nobody(control_plane: ControlPlane, if_exists: str) -> None:
    (jane,) = create_users(control_plane, "jane")
    change(control_plane, jane, "roe@example.com")
    users = [checked_user("a@example.com"), checked_user("Jane@example.com")]

    def refusal(call: Callable[[], object]) -> Sequence[Any]:
        with pytest.raises(BatchRefused) as refused:
            call()
        assert not refused.value.input_is_at_fault
        return refused.value.problems

    for act in (
        lambda: control_plane.batches.dry_run(users, if_exists),
        lambda: control_plane.batches.create(OPERATOR, "key", users, if_exists),
    ):
        (problem,) = refusal(act)
        assert (problem.index, problem.field, problem.code) == (1, "email", "email_freed")
        assert "'Jane@example.com' was the email of another account until 20" in problem.detail
        assert "`anyscale user update` with `--email` and `--reuse-email`" in problem.detail
    looked_up = control_plane.batches.look_up(users, 0)
    batch = control_plane.batches.open(OPERATOR, "large", if_exists)
    reserved = control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, users)
    assert (reserved.users, reserved.skipped, reserved.conflicts) == (1, 0, 1)
    stored = [structs.replace(one, user_id=None) for one in looked_up]
    assert control_plane.batches.conflicts(batch.batch_id) == stored
    found = [(one.position, one.kind, one.user_id) for one in looked_up]
    assert found == [(1, "freed", jane)]
    let_pass(control_plane, 30)
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, users)
    control_plane.batches.publish(OPERATOR, batch.batch_id, 2)
    assert len(find_accounts(control_plane, email="jane@example.com", exact=True)) == 1


def test_an_email_that_another_account_got_on_request_exists(control_plane: ControlPlane) -> None:
    jane, joe = create_users(control_plane, "jane", "joe")
    change(control_plane, jane, "roe@example.com")
    change(control_plane, joe, "jane@example.com", reuse_email=True)
    users = [checked_user("jane@example.com")]
    conflicts = control_plane.batches.look_up(users, 0)
    assert [(one.kind, one.user_id) for one in conflicts] == [("exists", joe)]
    assert control_plane.batches.create(OPERATOR, "key", users, "skip").batch.skipped == 1


@pytest.mark.parametrize("way", ["delete", "undo"])
def test_the_emails_of_a_deleted_account_that_nobody_used_are_free_and_forgotten(
    control_plane: ControlPlane, way: str
) -> None:
    users = [checked_user("jane@example.com")]
    created = control_plane.batches.create(OPERATOR, "key", users, "fail")
    (jane,) = (user.user_id for user in created.users)
    change(control_plane, jane, "roe@example.com")
    if way == "delete":
        control_plane.lifecycle.delete(OPERATOR, jane)
    else:
        batch_id = created.batch.batch_id
        control_plane.batches.undo(OPERATOR, batch_id, "", force=False, dry_run=False)
    assert found(control_plane, "jane@example.com") == []
    create_users(control_plane, "jane", "roe")


@pytest.mark.both_stores
def test_the_emails_of_a_deleted_account_that_was_used_are_given_to_nobody_for_30_days(
    control_plane: ControlPlane,
) -> None:
    jane, joe = create_users(control_plane, "jane", "joe")
    change(control_plane, jane, "roe@example.com")
    let_pass(control_plane, 10)
    with control_plane.store.write() as tx:
        tx.accounts.mark_used(jane, tx.now())
    control_plane.lifecycle.delete(OPERATOR, jane)
    for name in ("jane", "roe"):
        with pytest.raises(BatchRefused) as refused:
            create_users(control_plane, name)
        assert refused.value.problems[0].code == "email_freed"
        assert found(control_plane, f"{name}@example.com") == []
        with pytest.raises(NotFound, match="a deleted one is found by its user_id"):
            control_plane.audit_log.list(0, 9, only=AuditFilter(subject=f"{name}@example.com"))
    change(control_plane, joe, "roe@example.com", reuse_email=True)
    let_pass(control_plane, 20)
    create_users(control_plane, "jane")
    control_plane.clean_up()
    change(control_plane, joe, "joe@example.com")
    let_pass(control_plane, 10)
    control_plane.clean_up()
    with control_plane.store.read() as tx:
        left = tx.emails.list_freed(["jane@example.com", "roe@example.com"], 0)
    assert [one.user_id for one in left] == [joe], "a deleted account leaves nothing for longer"


def test_a_batch_of_used_accounts_that_is_undone_can_be_created_again_at_once(
    control_plane: ControlPlane,
) -> None:
    users = [checked_user("jane@example.com")]
    created = control_plane.batches.create(OPERATOR, "key", users, "fail")
    with control_plane.store.write() as tx:
        tx.accounts.mark_used(created.users[0].user_id, tx.now())
    batch_id = created.batch.batch_id
    control_plane.batches.undo(OPERATOR, batch_id, "", force=True, dry_run=False)
    create_users(control_plane, "jane")


def test_a_suspended_account_gets_another_email_and_keeps_it(control_plane: ControlPlane) -> None:
    (jane,) = create_users(control_plane, "jane")
    control_plane.lifecycle.suspend(OPERATOR, jane)
    change(control_plane, jane, "roe@example.com")
    control_plane.lifecycle.restore(OPERATOR, jane)
    assert emails_of(control_plane, jane) == ["roe@example.com"]


# Several at once


@pytest.mark.both_stores
@pytest.mark.parametrize("names", [("b", "a"), ("b", "c", "a"), ("b", "c", "d")])
def test_several_accounts_exchange_their_emails(
    control_plane: ControlPlane, names: Sequence[str]
) -> None:
    ids = create_users(control_plane, *"abc"[: len(names)])
    emails = [f"{name}@example.com" for name in names]
    change_several(control_plane, dict(zip(ids, emails, strict=True)))
    assert emails_of(control_plane, *ids) == emails
    entries = control_plane.audit_log.list(0, 100)
    changed = [one.subject for one in entries if one.event == "account.email_changed"]
    assert changed == ids


def test_accounts_that_pass_their_emails_on_in_a_circle_do_so_again(
    control_plane: ControlPlane,
) -> None:
    ids, names = create_users(control_plane, "a", "b", "c"), ["b", "c", "a"]
    for _ in range(4):
        emails = [f"{name}@example.com" for name in names]
        change_several(control_plane, dict(zip(ids, emails, strict=True)))
        assert emails_of(control_plane, *ids) == emails
        names = names[1:] + names[:1]
    for user_id, email in zip(ids, emails, strict=True):
        change(control_plane, user_id, email.upper())  # it has had the email of others before
    assert emails_of(control_plane, *ids) == [email.upper() for email in emails]


def test_two_accounts_get_no_equal_emails(control_plane: ControlPlane) -> None:
    ids = create_users(control_plane, "a", "b")
    with pytest.raises(EmailTaken, match="two accounts would have the email"):
        change_several(control_plane, {ids[0]: "c@example.com", ids[1]: "C@example.com"})
    assert emails_of(control_plane, *ids) == ["a@example.com", "b@example.com"]


def test_an_exchange_is_refused_whole(control_plane: ControlPlane) -> None:
    jane, joe, zoe = create_users(control_plane, "jane", "joe", "zoe")
    change(control_plane, zoe, "new@example.com")
    for emails, taken in (
        ({jane: "joe@example.com", joe: "new@example.com"}, "new@example.com"),
        ({jane: "joe@example.com", joe: "zoe@example.com"}, "zoe@example.com"),
    ):
        with pytest.raises(EmailTaken, match=taken):
            change_several(control_plane, emails)
    assert emails_of(control_plane, jane, joe) == ["jane@example.com", "joe@example.com"]


# Who may change the email of whom


def test_only_another_owner_or_the_operator_changes_the_email_of_an_owner(
    control_plane: ControlPlane,
) -> None:
    jane, joe = owners(control_plane, "jane", "joe")
    of_joe, own = session_caller(control_plane, joe), session_caller(control_plane, jane)
    old = session_caller(control_plane, joe, is_recent=False)
    refused: Sequence[tuple[Caller, type[AnyscaleError]]] = [
        (own, NotPermitted),
        (personal_token_caller(control_plane, joe), NotPermitted),
        (token_caller(control_plane, "script"), NotPermitted),
        (old, SignInTooOld),
    ]
    for caller, refusal in refused:
        with pytest.raises(refusal):
            change(control_plane, jane, "roe@example.com", caller)
        assert emails_of(control_plane, jane) == ["jane@example.com"]
    for email, caller in (("roe@example.com", of_joe), ("doe@example.com", OPERATOR)):
        change(control_plane, jane, email, caller)
        assert emails_of(control_plane, jane) == [email]


def test_a_member_changes_no_email_and_each_owner_that_of_a_member(
    control_plane: ControlPlane,
) -> None:
    (jane,), (kim,) = owners(control_plane, "jane"), create_users(control_plane, "kim")
    with pytest.raises(NotPermitted):
        change(control_plane, kim, "roe@example.com", session_caller(control_plane, kim))
    recent = session_caller(control_plane, jane)
    old = session_caller(control_plane, jane, is_recent=False)
    with pytest.raises(SignInTooOld):
        change(control_plane, kim, "roe@example.com", old)
    control_plane.updates.update(old, kim, UserChanges(title="CTO"))
    for name, owner in (("a", recent), ("b", token_caller(control_plane))):
        change(control_plane, kim, f"{name}@example.com", owner)
    assert emails_of(control_plane, kim) == ["b@example.com"]
