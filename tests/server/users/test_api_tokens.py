"""Tokens: shown once, stored as hashes, checked by their form, revoked at once."""

import os
import pwd
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.callers import OPERATOR, operator
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import Deployment
from tests.support.users import checked_users

from anyscale.domain.audit_chain import verify
from anyscale.errors import ConfigError, NotAuthenticated, NotFound, NotPermitted
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import live_token, system_caller
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.tokens.api_tokens import PREFIX, _is_whole, _new_token


def test_a_token_identifies_its_owner(plane: ControlPlane) -> None:
    token = plane.tokens.create("ann", "owner", None, operator("root"))
    caller = plane.tokens.authenticate(token)
    assert (caller.actor, caller.token.role) == ("token:ann", "owner")
    assert token not in repr(caller)
    (row,) = plane.tokens.all()
    assert row.used_at is not None


def test_only_the_hash_of_a_token_is_stored(
    plane: ControlPlane, store_deployment: Deployment
) -> None:
    token = plane.tokens.create("ann", "owner", None, operator("root"))
    assert token not in str(store_deployment.snapshot())


def test_a_name_is_taken_until_its_token_is_revoked(plane: ControlPlane) -> None:
    first = plane.tokens.create("ann", "owner", None, operator("root"))
    with pytest.raises(ConfigError, match="there is a token named 'ann'"):
        plane.tokens.create("ann", "owner", None, operator("root"))
    plane.tokens.create("ann's laptop", "owner", None, operator("root"))
    with pytest.raises(ConfigError) as caught:
        plane.tokens.create("ann's laptop", "owner", None, operator("root"))
    (command,) = re.findall("`(.*)`", str(caught.value))
    assert shlex.split(command) == ["anyscale", "server", "revoke-token", "ann's laptop"]
    plane.tokens.revoke("ann", operator("root"))
    plane.tokens.create("ann", "owner", None, operator("root"))
    with pytest.raises(NotAuthenticated, match="was revoked"):
        plane.tokens.authenticate(first)
    with pytest.raises(NotFound):
        plane.tokens.revoke("nobody", operator("root"))


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 65])
def test_a_name_is_short_and_has_visible_characters_only(plane: ControlPlane, name: str) -> None:
    with pytest.raises(ConfigError):
        plane.tokens.create(name, "owner", None, operator("root"))


def test_a_token_expires_by_the_clock_of_the_database(plane: ControlPlane) -> None:
    token = plane.tokens.create("ann", "owner", 1, operator("root"))
    plane.tokens.authenticate(token)
    with plane.store.write() as tx:
        execute_sql(tx, "update tokens set expires_at = 1")
    with pytest.raises(NotAuthenticated, match="has expired"):
        plane.tokens.authenticate(token)


def test_a_token_has_expired_at_its_time_of_expiry(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = plane.tokens.create("ann", "owner", 1, operator("root"))
    expires_at = plane.tokens.all()[0].expires_at
    assert expires_at
    with plane.store.read() as tx:
        monkeypatch.setattr(tx, "now", lambda: expires_at - 1)
        assert live_token(tx, hash_of(token)).token.name == "ann"
        monkeypatch.setattr(tx, "now", lambda: expires_at)
        with pytest.raises(NotAuthenticated, match="has expired"):
            live_token(tx, hash_of(token))


def test_the_actor_of_this_machine_is_its_system_user(monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    assert system_caller().actor == f"local:{user}"
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)  # of no user in the database
    assert system_caller().actor == "local:4000000000"


def test_publishing_checks_the_permission_again(plane: ControlPlane) -> None:
    token = plane.tokens.create("ann", "owner", None, operator("root"))
    caller = plane.tokens.authenticate(token)
    batch = plane.batches.open("key", "fail", caller)
    plane.batches.reserve(batch.batch_id, 0, checked_users("a"), OPERATOR)
    plane.tokens.revoke("ann", operator("root"))
    with pytest.raises(NotAuthenticated):
        plane.batches.publish(batch.batch_id, 1, caller)
    with pytest.raises(NotAuthenticated):
        plane.batches.create("small", checked_users("b"), "fail", caller)
    assert plane.users.page(email="", name="", after="", limit=10) == []


def test_a_collaborator_may_not_publish(plane: ControlPlane) -> None:
    token = plane.tokens.create("carl", "collaborator", None, operator("root"))
    caller = plane.tokens.authenticate(token)
    with pytest.raises(NotPermitted):
        plane.batches.create("small", checked_users("b"), "fail", caller)


def test_changes_of_tokens_are_in_the_audit_log(plane: ControlPlane) -> None:
    plane.tokens.create("ann", "owner", 7, operator("root"))
    plane.tokens.revoke("ann", operator("joe"))
    entries = plane.audit_log.list(0, 10)
    assert [(e.event, e.actor) for e in entries] == [
        ("token.created", "local:root"),
        ("token.revoked", "local:joe"),
    ]
    assert verify(entries).fault is None


def test_the_audit_log_is_valid_after_a_purge_of_old_entries(plane: ControlPlane) -> None:
    for name in "abcd":
        plane.tokens.create(name, "owner", None, operator("root"))
    with plane.store.read() as tx:
        now = tx.now()
    plane.audit_log.purge(now + 1)
    entries = plane.audit_log.list(0, 10)
    assert [(e.number, e.event) for e in entries] == [(4, "token.created"), (5, "audit.forgotten")]
    assert verify(entries).fault is None


@given(st.integers(0, 42), st.sampled_from("abcXYZ019_"))
def test_a_token_with_a_wrong_character_is_refused_by_its_checksum(at: int, letter: str) -> None:
    token = _new_token()
    assert token.startswith(PREFIX)
    assert _is_whole(token)
    wrong = token[:at] + letter + token[at + 1 :]
    assert _is_whole(wrong) == (wrong == token)
    assert not _is_whole(token[:-1])
