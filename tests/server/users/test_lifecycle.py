"""The life of an account: kept out, let in again, erased, and never without an owner."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from tests.support.at_once import at_once
from tests.support.callers import (
    OPERATOR,
    personal_token_caller,
    session_caller,
    token_caller,
)
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import Deployment
from tests.support.users import (
    PASSWORD,
    account_emails,
    checked_users,
    find_accounts,
    passwords_for,
)

from anyscale.domain.audit_chain import verify
from anyscale.domain.models.users import ExpectedUser, UserChanges
from anyscale.errors import (
    AccountEdited,
    AnyscaleError,
    LastOwner,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    OwnerKept,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import Caller
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.sql.accounts import Accounts

pytestmark = pytest.mark.both_stores

#: as often as two who do it at once may miss each other
ROUNDS = 12


def let_pass(control_plane: ControlPlane, days: int) -> None:
    """Let emails be free since so many days more."""
    with control_plane.store.write() as tx:
        execute_sql(tx, f"update former_emails set freed_at = freed_at - {days * DAY_MS}")


def create_users(
    control_plane: ControlPlane, *names: str, password: str | None = None
) -> list[str]:
    """Create accounts; give their ids."""
    users = checked_users(*names, password=password)
    created = control_plane.batches.create(
        OPERATOR, secrets.token_hex(8), users, "fail", passwords_for(users)
    )
    return [user.user_id for user in created.users]


def owners(control_plane: ControlPlane, *names: str, password: str | None = None) -> list[str]:
    """Create owners; give their ids."""
    found = create_users(control_plane, *names, password=password)
    for user_id in found:
        control_plane.lifecycle.set_role(OPERATOR, user_id, "owner")
    return found


def signed_in(control_plane: ControlPlane, user_id: str) -> str:
    """Begin a session; give its secret."""
    with control_plane.store.write() as tx:
        account = lock_for_session(tx, user_id, ClientInfo("192.0.2.1", "a browser"))
        assert account
        return create_session(tx, account, Shown("password", "", account.at), None).session


def sessions(control_plane: ControlPlane, user_id: str) -> list[SessionRecord]:
    with control_plane.store.read() as tx:
        return list(tx.sessions.list(user_id))


def events(control_plane: ControlPlane, after: int = 0) -> list[tuple[str, str, str]]:
    return [(e.event, e.actor, e.subject) for e in control_plane.audit_log.list(after, 1000)]


def last_number(control_plane: ControlPlane) -> int:
    return control_plane.audit_log.list(0, 1000)[-1].number


# Each of the four


def test_a_suspended_user_is_signed_out_and_a_restored_one_may_sign_in(
    control_plane: ControlPlane,
) -> None:
    jane, _ = owners(control_plane, "jane", "joe")
    secret = signed_in(control_plane, jane)
    token, _ = control_plane.tokens.create_personal(
        session_caller(control_plane, jane), "laptop", None
    )

    control_plane.lifecycle.suspend(OPERATOR, jane)

    assert sessions(control_plane, jane) == []
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(secret)
    with pytest.raises(NotAuthenticated, match="the token 'laptop' is suspended: ask an admin"):
        control_plane.tokens.authenticate(token)
    control_plane.lifecycle.restore(OPERATOR, jane)
    assert control_plane.tokens.authenticate(token).token.role == "owner"
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(secret)


def test_a_deleted_user_remains_in_the_audit_log_only(
    control_plane: ControlPlane, store_deployment: Deployment
) -> None:
    jane, joe = owners(control_plane, "jane", "joe", password=PASSWORD)
    signed_in(control_plane, jane)
    token, _ = control_plane.tokens.create_personal(
        session_caller(control_plane, jane), "laptop", None
    )
    control_plane.links.create(OPERATOR, [jane, joe])

    control_plane.lifecycle.delete(OPERATOR, jane)

    assert account_emails(control_plane) == ["joe@example.com"]
    with pytest.raises(NotAuthenticated, match="unknown"):
        control_plane.tokens.authenticate(token)
    with control_plane.store.read() as tx:
        tables = (
            *("users", "sessions", "devices", "links", "identities", "tokens", "conflicts"),
            "former_emails",
        )
        kept = {table: execute_sql(tx, f"select * from {table}").fetchall() for table in tables}
    # For 30 days, nobody else gets the email: see the tests of changed emails.
    ((email, whose, _),) = kept["former_emails"]
    assert (email, whose) == ("jane@example.com", "")
    assert jane not in str(kept)
    assert "jane@" not in str(store_deployment.all_rows())
    assert joe in str(kept["links"])
    let_pass(control_plane, 30)
    assert create_users(control_plane, "jane", "new") != [jane]


def test_a_new_role_revokes_the_sessions(control_plane: ControlPlane) -> None:
    jane, joe = owners(control_plane, "jane", "joe")
    signed_in(control_plane, jane)
    signed_in(control_plane, joe)

    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")

    assert sessions(control_plane, jane) == []
    assert len(sessions(control_plane, joe)) == 1
    (account,) = find_accounts(control_plane, email="jane@example.com", exact=True)
    assert account.permission_level == "collaborator"


def test_every_change_is_in_the_audit_log_without_an_email(control_plane: ControlPlane) -> None:
    jane, joe = owners(control_plane, "jane", "joe")
    caller, before = personal_token_caller(control_plane, joe), last_number(control_plane)

    control_plane.lifecycle.suspend(caller, jane)
    control_plane.lifecycle.restore(caller, jane)
    control_plane.lifecycle.set_role(caller, jane, "collaborator")
    control_plane.lifecycle.delete(caller, jane)

    who = f"user:{joe}"
    assert events(control_plane, before) == [
        ("account.suspended", who, jane),
        ("account.restored", who, jane),
        ("account.role_set", who, jane),
        ("account.deleted", who, jane),
    ]
    entries = control_plane.audit_log.list(0, 1000)
    assert verify(entries).fault is None
    assert "@" not in str(entries)
    assert "laptop" not in str(entries)


def test_a_suspension_by_hand_replaces_one_by_a_sync_and_no_sync_takes_it_back(
    control_plane: ControlPlane,
) -> None:
    (jane,) = create_users(control_plane, "jane")
    life = control_plane.lifecycle

    def flags() -> tuple[bool, bool]:
        (account,) = find_accounts(control_plane, email="jane@example.com", exact=True)
        return account.suspended_at is not None, account.suspended_by_sync

    with pytest.raises(AccountEdited, match="another lastname was expected"):
        life.suspend(OPERATOR, jane, by_sync=True, expected=ExpectedUser(lastname="Roe"))
    life.suspend(OPERATOR, jane, by_sync=True, expected=ExpectedUser(lastname=None))
    assert flags() == (True, True)
    life.restore(OPERATOR, jane, by_sync=True)
    assert flags() == (False, False)
    life.suspend(OPERATOR, jane, by_sync=True)
    life.suspend(OPERATOR, jane)
    life.suspend(OPERATOR, jane, by_sync=True)
    assert flags() == (True, False)
    with pytest.raises(AccountEdited, match="manually since"):
        life.restore(OPERATOR, jane, by_sync=True)
    life.restore(OPERATOR, jane)
    life.restore(OPERATOR, jane, by_sync=True)
    assert flags() == (False, False)
    log = control_plane.audit_log.list(0, 1000)
    restored = [one.data for one in log if one.event == "account.restored"]
    assert restored == ['{"by_sync":true}', "{}"]


CALLS: dict[str, Callable[[ControlPlane, str, Caller], None]] = {
    "suspend": lambda control_plane, user_id, by: control_plane.lifecycle.suspend(by, user_id),
    "restore": lambda control_plane, user_id, by: control_plane.lifecycle.restore(by, user_id),
    "delete": lambda control_plane, user_id, by: control_plane.lifecycle.delete(by, user_id),
    "demote": lambda control_plane, user_id, by: control_plane.lifecycle.set_role(
        by, user_id, "collaborator"
    ),
}


@pytest.mark.parametrize("name", ["suspend", "restore", "demote"])
def test_a_repeated_call_changes_nothing_and_adds_no_audit_entry(
    control_plane: ControlPlane, name: str
) -> None:
    jane, _ = owners(control_plane, "jane", "joe")
    if name == "restore":
        control_plane.lifecycle.suspend(OPERATOR, jane)
    CALLS[name](control_plane, jane, OPERATOR)
    if name == "demote":
        signed_in(control_plane, jane)
    with control_plane.store.read() as tx:
        before = tx.accounts.get(jane)
    noted = last_number(control_plane)

    CALLS[name](control_plane, jane, OPERATOR)

    with control_plane.store.read() as tx:
        assert tx.accounts.get(jane) == before
    assert len(sessions(control_plane, jane)) == (name == "demote")
    assert not [e for e in events(control_plane, noted) if e[0].startswith("account.")]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_unknown_account_is_not_found(
    control_plane: ControlPlane, call: Callable[[ControlPlane, str, Caller], None]
) -> None:
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("open"))
    for user_id in ("usr_none", "", batch.batch_id.replace("bat_", "usr_") + "00000000"):
        with pytest.raises(NotFound, match="there is no user"):
            call(control_plane, user_id, OPERATOR)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_only_a_current_owner_may_change_accounts(
    control_plane: ControlPlane, call: Callable[[ControlPlane, str, Caller], None]
) -> None:
    jane, joe, carl = owners(control_plane, "jane", "joe", "carl")
    demoted, suspended, revoked = (
        personal_token_caller(control_plane, one) for one in (jane, joe, carl)
    )
    other = token_caller(control_plane, "x", "reader")
    (target,) = create_users(control_plane, "target")
    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")
    control_plane.lifecycle.suspend(OPERATOR, joe)
    (token,) = control_plane.tokens.list_live(carl)
    control_plane.tokens.revoke_personal(session_caller(control_plane, carl), token.token_id)
    before = control_plane.audit_log.list(0, 1000)

    refusals = [NotAuthenticated, NotAuthenticated, NotAuthenticated, NotPermitted]
    for caller, refusal in zip([demoted, suspended, revoked, other], refusals, strict=True):
        with pytest.raises(refusal):
            call(control_plane, target, caller)

    assert control_plane.audit_log.list(0, 1000) == before
    assert "target@example.com" in account_emails(control_plane)


# The last owner

LOSING = [name for name in CALLS if name != "restore"]


@pytest.mark.parametrize("name", LOSING)
def test_the_last_owner_stays(control_plane: ControlPlane, name: str) -> None:
    jane, joe = owners(control_plane, "jane", "joe")
    control_plane.lifecycle.suspend(OPERATOR, joe)  # does not count
    by_jane = personal_token_caller(control_plane, jane)
    before = control_plane.audit_log.list(0, 1000)

    with pytest.raises(LastOwner, match="make another user an owner first"):
        CALLS[name](control_plane, jane, OPERATOR)
    with pytest.raises(LastOwner):
        CALLS[name](control_plane, jane, by_jane)

    assert control_plane.audit_log.list(0, 1000) == before
    control_plane.lifecycle.restore(OPERATOR, joe)
    CALLS[name](control_plane, jane, OPERATOR)


@pytest.mark.parametrize("name", LOSING)
def test_other_accounts_can_be_deleted_beside_the_last_owner(
    control_plane: ControlPlane, name: str
) -> None:
    _, joe, carl = *owners(control_plane, "jane", "joe"), *create_users(control_plane, "carl")
    control_plane.lifecycle.suspend(OPERATOR, joe)
    CALLS[name](control_plane, joe, OPERATOR)
    CALLS[name](control_plane, carl, OPERATOR)


def _refusal_of(call: Callable[[], object]) -> type[AnyscaleError] | None:
    try:
        call()
    except AnyscaleError as error:
        return type(error)
    return None


@pytest.mark.parametrize("by", ["local", "token"])
@pytest.mark.parametrize("name", LOSING)
def test_two_owners_who_delete_each_other_at_once_leave_one(
    control_plane: ControlPlane, name: str, by: str
) -> None:
    for number in range(ROUNDS):
        both = owners(control_plane, f"a{number}", f"b{number}")
        for user_id in _other_owners(control_plane, both):
            control_plane.lifecycle.set_role(OPERATOR, user_id, "collaborator")
        callers = [
            personal_token_caller(control_plane, one) if by == "token" else OPERATOR for one in both
        ]
        calls = [partial(CALLS[name], control_plane, both[1 - one], callers[one]) for one in (0, 1)]
        outcomes = at_once([partial(_refusal_of, call) for call in calls])
        refusals = [outcome for outcome in outcomes if outcome is not None]
        assert len(refusals) == 1, outcomes
        assert refusals[0] in (LastOwner, NotPermitted, NotAuthenticated)
        assert len(_owners(control_plane)) == 1


@pytest.mark.parametrize("name", ["suspend", "restore"])
def test_one_who_becomes_an_owner_meanwhile_is_kept(control_plane: ControlPlane, name: str) -> None:
    (jane,) = create_users(control_plane, "jane")
    if name == "restore":
        control_plane.lifecycle.suspend(OPERATOR, jane)
    change = getattr(control_plane.lifecycle, name)
    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            (before,) = tx.accounts.lock([jane]).values()
            tx.accounts.set_role(jane, "owner")
            changing = pool.submit(change, OPERATOR, jane, keep_owner=True)
            wait_until_blocked(control_plane.store, tx)
        with pytest.raises(OwnerKept, match="change the role first"):
            changing.result(30)
    (account,) = find_accounts(control_plane, email="jane@example.com", exact=True)
    assert (account.suspended_at is None) == (before.suspended_at is None)


def _owners(control_plane: ControlPlane) -> list[str]:
    with control_plane.store.write() as tx:
        return list(tx.accounts.lock_owners())


def _other_owners(control_plane: ControlPlane, but: list[str]) -> list[str]:
    return [one for one in _owners(control_plane) if one not in but]


# What a person's own token may


def test_a_personal_token_has_the_role_of_its_user_until_that_changes(
    control_plane: ControlPlane,
) -> None:
    jane, _ = owners(control_plane, "jane", "joe")
    token, _ = control_plane.tokens.create_personal(
        session_caller(control_plane, jane), "laptop", None
    )
    assert token.startswith("mrt_")
    caller = control_plane.tokens.authenticate(token)
    assert (caller.actor, caller.token.role) == (f"user:{jane}", "owner")
    assert control_plane.batches.create(
        caller, "one", checked_users("one"), "fail"
    ).batch.opened_by == (f"user:{jane}")

    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")

    with pytest.raises(NotAuthenticated, match="was revoked"):
        control_plane.tokens.authenticate(token)
    with pytest.raises(NotAuthenticated, match="was revoked"):
        control_plane.batches.create(caller, "two", checked_users("two"), "fail")


def make_link(control_plane: ControlPlane, user_id: str, caller: Caller) -> None:
    control_plane.links.create(caller, [user_id])


def test_each_account_call_locks_the_owners_and_then_all_accounts_at_once(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane, joe = owners(control_plane, "jane", "joe")
    caller = personal_token_caller(control_plane, joe)
    calls: list[tuple[str, set[str]]] = []
    lock, lock_owners = Accounts.lock, Accounts.lock_owners

    def note_lock(accounts: Accounts, ids: Collection[str]) -> Mapping[str, AccountRecord]:
        calls.append(("lock", set(ids)))
        return lock(accounts, ids)

    def note_lock_owners(accounts: Accounts) -> Sequence[str]:
        calls.append(("lock_owners", set()))
        return lock_owners(accounts)

    monkeypatch.setattr(Accounts, "lock", note_lock)
    monkeypatch.setattr(Accounts, "lock_owners", note_lock_owners)
    for act in (*(CALLS[name] for name in CALLS if name != "delete"), make_link, CALLS["delete"]):
        calls.clear()
        act(control_plane, jane, caller)
        # The caller's own account, and the one that is changed.
        assert calls[:2] == [("lock_owners", set()), ("lock", {jane, joe})]
        if act != CALLS["delete"]:
            control_plane.lifecycle.restore(OPERATOR, jane)


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The ids of the accounts that each call locks together."""
    locked: list[set[str]] = []
    lock = Accounts.lock

    def note_lock(accounts: Accounts, ids: Collection[str]) -> Mapping[str, AccountRecord]:
        locked.append(set(ids))
        return lock(accounts, ids)

    monkeypatch.setattr(Accounts, "lock", note_lock)
    return locked


def test_a_batch_locks_the_account_of_its_callers_token(
    control_plane: ControlPlane, locked: list[set[str]]
) -> None:
    """Otherwise it could be created by an owner who is suspended at the same time."""
    (jane,) = owners(control_plane, "jane")
    caller = personal_token_caller(control_plane, jane)
    locked.clear()
    control_plane.batches.create(caller, "small", checked_users("carl"), "fail")
    assert locked == [{jane}]


def test_a_change_of_an_account_locks_it_once_together_with_the_callers(
    control_plane: ControlPlane, locked: list[set[str]]
) -> None:
    (jane,), (carl,) = owners(control_plane, "jane"), create_users(control_plane, "carl")
    caller = personal_token_caller(control_plane, jane)
    locked.clear()
    control_plane.lifecycle.suspend(caller, carl)
    control_plane.lifecycle.restore(caller, carl)
    control_plane.updates.update(caller, carl, UserChanges(title="CTO"))
    control_plane.links.create(caller, [carl])
    assert locked == [{carl, jane}] * 4


@pytest.mark.parametrize("act", ["suspend", "link"])
@pytest.mark.parametrize("own_first", [False, True])
def test_accounts_are_locked_in_the_order_of_their_ids(
    control_plane: ControlPlane, act: str, own_first: bool
) -> None:
    first, second = sorted(create_users(control_plane, "carl") + owners(control_plane, "jane"))
    own, target = (first, second) if own_first else (second, first)
    control_plane.lifecycle.set_role(OPERATOR, own, "owner")
    caller = personal_token_caller(control_plane, own)
    do: Callable[[], object] = partial(control_plane.lifecycle.suspend, caller, target)
    if act == "link":
        do = partial(control_plane.links.create, caller, [own, target])
    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            tx.accounts.lock([first])
            doing = pool.submit(do)
            wait_until_blocked(control_plane.store, tx)
            # As a user who signs in in the browser of the other one. Neither waits for the other.
            assert [*tx.accounts.lock([second])] == [second]
            assert not doing.done()
        doing.result(30)


@pytest.mark.parametrize("others", [False, True])
def test_an_account_is_locked_before_its_sessions_are_deleted(
    control_plane: ControlPlane, others: bool
) -> None:
    (jane,) = create_users(control_plane, "jane")
    user, other = (session_caller(control_plane, jane) for _ in range(2))
    ends = (user if others else other).session.session_id
    end: Callable[[], object] = partial(control_plane.sessions.revoke, other, ends)
    if others:
        end = partial(control_plane.sessions.revoke_others, other)
    with ThreadPoolExecutor(1) as pool:
        with control_plane.store.write() as tx:
            tx.accounts.lock([jane])
            ending = pool.submit(end)
            wait_until_blocked(control_plane.store, tx)
            assert tx.sessions.delete(jane, only=ends) == 1
        with suppress(NotFound, NotAuthenticated):  # it is ended already
            ending.result(30)
