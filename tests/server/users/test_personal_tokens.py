"""Personal tokens: users create, list and revoke their own."""

import secrets

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR, personal_token_caller, session_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.users import checked_users
from tests.support.waiting import wait_until

from anyscale.errors import ConfigError, NotAuthenticated, NotFound, NotPermitted
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import refuse_without
from anyscale.server.core.permissions import Permission
from anyscale.server.core.secrets import hash_of


@pytest.fixture
def people(control_plane: ControlPlane) -> list[str]:
    """Two owners. There is a third one, who stays."""
    users = checked_users("jane", "joe", "root")
    created = control_plane.batches.create(OPERATOR, secrets.token_hex(8), users, "fail")
    for user in created.users:
        control_plane.lifecycle.set_role(OPERATOR, user.user_id, "owner")
    return [user.user_id for user in created.users[:2]]


def test_a_user_lists_and_revokes_own_tokens_only(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane, joe = people
    mine, _ = control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", 7)
    control_plane.tokens.create_personal(session_caller(control_plane, joe), "laptop", None)
    control_plane.tokens.create(OPERATOR, "laptop", "owner", None)

    (token,) = control_plane.tokens.list_live(jane)

    assert (token.name, token.user_id, token.created_by) == ("laptop", jane, f"user:{jane}")
    assert token.expires_at == token.created_at + 7 * 24 * 60 * 60 * 1000
    assert mine not in str(token)
    with pytest.raises(NotFound):
        control_plane.tokens.revoke_personal(session_caller(control_plane, joe), token.token_id)
    with pytest.raises(NotFound):
        control_plane.tokens.revoke_personal(session_caller(control_plane, jane), "laptop")
    control_plane.tokens.revoke_personal(session_caller(control_plane, jane), token.token_id)
    with pytest.raises(NotAuthenticated, match="was revoked"):
        control_plane.tokens.authenticate(mine)
    with pytest.raises(NotFound):
        control_plane.tokens.revoke_personal(session_caller(control_plane, jane), token.token_id)
    assert len([one for one in control_plane.tokens.all() if one.revoked_at is None]) == 2


def test_a_token_needs_a_new_name_and_a_valid_number_of_days(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane, _ = people
    control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", None)
    with pytest.raises(ConfigError, match="you have a token named 'laptop'"):
        control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", None)
    for name, days in ((" x", None), ("x", 0), ("x", 3651)):
        with pytest.raises(ConfigError):
            control_plane.tokens.create_personal(session_caller(control_plane, jane), name, days)
    assert len(control_plane.tokens.list_live(jane)) == 1


def test_a_user_has_at_most_50_valid_tokens(control_plane: ControlPlane, people: list[str]) -> None:
    jane, joe = people
    for number in range(50):
        control_plane.tokens.create_personal(
            session_caller(control_plane, jane), f"laptop-{number}", 1
        )
    with pytest.raises(ConfigError, match="you have 50 tokens"):
        control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", None)
    control_plane.tokens.create_personal(session_caller(control_plane, joe), "laptop", None)
    control_plane.tokens.revoke_personal(
        session_caller(control_plane, jane), control_plane.tokens.list_live(jane)[0].token_id
    )
    control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", None)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update tokens set expires_at = 1 where name = 'laptop-7'")
    control_plane.tokens.create_personal(session_caller(control_plane, jane), "desktop", None)
    assert len(control_plane.tokens.list_live(jane)) == 50


def test_a_user_creates_at_most_200_tokens_in_24_hours(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane, joe = people
    for number in range(200):
        _, token = control_plane.tokens.create_personal(
            session_caller(control_plane, jane), f"laptop-{number}", 1
        )
        control_plane.tokens.revoke_personal(session_caller(control_plane, jane), token.token_id)
    with pytest.raises(ConfigError, match="you created 200 tokens in the last 24 hours"):
        control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", None)
    control_plane.tokens.create_personal(session_caller(control_plane, joe), "laptop", None)
    with control_plane.store.write() as tx:
        yesterday = tx.now() - 24 * 60 * 60 * 1000
        execute_sql(tx, f"update tokens set created_at = {yesterday} where name = 'laptop-7'")
    control_plane.tokens.create_personal(session_caller(control_plane, jane), "laptop", None)


def test_revoked_and_expired_tokens_are_deleted_after_the_days_of_reports(
    control_plane: ControlPlane, people: list[str]
) -> None:
    _, laptop = control_plane.tokens.create_personal(
        session_caller(control_plane, people[0]), "laptop", None
    )
    for name in ("desktop", "tablet"):
        control_plane.tokens.create_personal(session_caller(control_plane, people[0]), name, None)
    control_plane.tokens.revoke_personal(session_caller(control_plane, people[0]), laptop.token_id)
    control_plane.clean_up()
    assert len(control_plane.tokens.all()) == 3
    days = control_plane.settings.report_days * 24 * 60 * 60 * 1000 + 60_000
    with control_plane.store.write() as tx:
        execute_sql(tx, f"update tokens set revoked_at = revoked_at - {days}")
        execute_sql(tx, f"update tokens set expires_at = {tx.now() - days} where name = 'desktop'")
    control_plane.clean_up()
    assert [token.name for token in control_plane.tokens.all()] == ["tablet"]


def test_a_suspended_or_deleted_user_gets_no_token(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane, joe = (session_caller(control_plane, user_id) for user_id in people)
    control_plane.lifecycle.suspend(OPERATOR, people[0])
    control_plane.lifecycle.delete(OPERATOR, people[1])
    for caller in (jane, joe):
        with pytest.raises(NotAuthenticated):
            control_plane.tokens.create_personal(caller, "laptop", None)
    assert control_plane.tokens.all() == []


def test_the_operator_revokes_a_personal_token_by_its_id(
    control_plane: ControlPlane, people: list[str]
) -> None:
    control_plane.tokens.create_personal(session_caller(control_plane, people[0]), "laptop", None)
    with pytest.raises(NotFound, match="`anyscale server list-tokens` lists all tokens"):
        control_plane.tokens.revoke(OPERATOR, "laptop")
    (token,) = control_plane.tokens.list_live(people[0])
    control_plane.tokens.revoke(OPERATOR, token.token_id)
    assert control_plane.tokens.all()[0].revoked_by == "local:test"


def test_a_collaborator_gets_no_token(control_plane: ControlPlane, people: list[str]) -> None:
    owner = session_caller(control_plane, people[0])
    control_plane.lifecycle.set_role(OPERATOR, people[0], "collaborator")
    collaborator = session_caller(control_plane, people[0])
    with pytest.raises(NotPermitted, match="this requires the role owner"):
        control_plane.tokens.create_personal(collaborator, "laptop", None)
    # Also if the role has changed since the request began.
    stale = structs.replace(collaborator, account=owner.account)
    with pytest.raises(NotPermitted, match="this requires the role owner"):
        control_plane.tokens.create_personal(stale, "laptop", None)
    assert control_plane.tokens.all() == []


def test_a_change_of_the_role_revokes_the_tokens_of_the_user_and_no_others(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane, joe = (session_caller(control_plane, user_id) for user_id in people)
    secret, desktop = control_plane.tokens.create_personal(jane, "desktop", None)
    _, laptop = control_plane.tokens.create_personal(jane, "laptop", 1)
    others, _ = control_plane.tokens.create_personal(joe, "laptop", None)
    before = control_plane.audit_log.list(0, 100)[-1].number

    control_plane.lifecycle.set_role(OPERATOR, people[0], "collaborator")
    control_plane.lifecycle.set_role(OPERATOR, people[0], "owner")

    with pytest.raises(NotAuthenticated, match="was revoked"):
        control_plane.tokens.authenticate(secret)
    control_plane.tokens.authenticate(others)
    entries = control_plane.audit_log.list(before, 100)
    first, *between, last = [(entry.event, entry.subject) for entry in entries]
    assert first == last == ("account.role_set", people[0])
    # Tokens of the same millisecond have no order.
    assert sorted(between) == sorted(("token.revoked", one.token_id) for one in (laptop, desktop))
    assert {token.revoked_by for token in control_plane.tokens.all()} == {"local:test", None}


def test_the_list_shows_the_role_of_the_user(
    control_plane: ControlPlane, people: list[str]
) -> None:
    control_plane.tokens.create_personal(session_caller(control_plane, people[0]), "laptop", None)
    assert (
        control_plane.tokens.all()[0].role
        == control_plane.tokens.list_live(people[0])[0].role
        == "owner"
    )


def test_the_token_of_a_deleted_user_is_invalid(
    control_plane: ControlPlane, people: list[str]
) -> None:
    token, _ = control_plane.tokens.create_personal(
        session_caller(control_plane, people[0]), "laptop", None
    )
    with control_plane.store.write() as tx:  # as in a database that was restored in part
        execute_sql(tx, "update tokens set user_id = 'usr_gone'")
    with pytest.raises(NotAuthenticated, match="does not exist any more"):
        control_plane.tokens.authenticate(token)


def test_the_audit_log_has_the_user_and_not_the_name_of_the_token(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane = session_caller(control_plane, people[0])
    control_plane.tokens.create_personal(jane, "jane's laptop", None)
    (token,) = control_plane.tokens.list_live(people[0])
    control_plane.tokens.revoke_personal(jane, token.token_id)
    created, revoked = control_plane.audit_log.list(0, 10)[-2:]
    assert [created.event, revoked.event] == ["token.created", "token.revoked"]
    assert created.actor == revoked.actor == f"user:{people[0]}"
    assert created.subject == revoked.subject == token.token_id
    assert "jane" not in str([created, revoked])


def now(control_plane: ControlPlane) -> int:
    with control_plane.store.read() as tx:
        return tx.now()


def test_a_new_token_comes_with_its_record_and_is_the_first_of_the_live_ones(
    control_plane: ControlPlane, people: list[str]
) -> None:
    jane, joe = people
    _, before = control_plane.tokens.create_personal(
        session_caller(control_plane, jane), "desktop", None
    )
    # Tokens of the same millisecond have no order.
    wait_until(lambda: now(control_plane) > before.created_at)
    secret, token = control_plane.tokens.create_personal(
        session_caller(control_plane, jane), "laptop", 1
    )
    control_plane.tokens.create_personal(session_caller(control_plane, joe), "tablet", None)

    assert (token.user_id, token.name, token.role) == (jane, "laptop", "owner")
    assert token.hash == hash_of(secret)
    assert [one.name for one in control_plane.tokens.list_live(jane)] == ["laptop", "desktop"]


def test_expired_and_revoked_tokens_are_not_live(
    control_plane: ControlPlane, people: list[str]
) -> None:
    _, revoked = control_plane.tokens.create_personal(
        session_caller(control_plane, people[0]), "desktop", None
    )
    control_plane.tokens.create_personal(session_caller(control_plane, people[0]), "laptop", 1)
    control_plane.tokens.revoke_personal(session_caller(control_plane, people[0]), revoked.token_id)
    assert [one.name for one in control_plane.tokens.list_live(people[0])] == ["laptop"]
    with control_plane.store.write() as tx:
        execute_sql(tx, "update tokens set expires_at = 1 where name = 'laptop'")
    assert control_plane.tokens.list_live(people[0]) == []


def test_a_refusal_names_the_collaborator_by_email(
    control_plane: ControlPlane, people: list[str]
) -> None:
    caller = personal_token_caller(control_plane, people[0])
    assert caller.account
    account = structs.replace(caller.account, permission_level="collaborator")
    token = structs.replace(caller.token, role="collaborator")
    caller = structs.replace(caller, token=token, account=account)
    with pytest.raises(NotPermitted, match=r"^jane@example\.com has the role collaborator"):
        refuse_without(Permission.READ_ACCOUNTS, caller)
    assert "example" not in repr(caller)
