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
from tests.support.users import checked_users, find_accounts

from anyscale.domain.audit_chain import verify
from anyscale.errors import ConfigError, NotAuthenticated, NotFound, NotPermitted
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import live_token, system_caller
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.tokens.api_tokens import PREFIX, _is_whole, _new_token


def test_a_token_identifies_its_owner(control_plane: ControlPlane) -> None:
    token = control_plane.tokens.create(operator("root"), "ann", "owner", None)
    caller = control_plane.tokens.authenticate(token)
    assert (caller.actor, caller.token.role) == ("token:ann", "owner")
    assert token not in repr(caller)
    (row,) = control_plane.tokens.all()
    assert row.used_at is not None


def test_only_the_hash_of_a_token_is_stored(
    control_plane: ControlPlane, store_deployment: Deployment
) -> None:
    token = control_plane.tokens.create(operator("root"), "ann", "owner", None)
    assert token not in str(store_deployment.snapshot())


def test_a_name_is_taken_until_its_token_is_revoked(control_plane: ControlPlane) -> None:
    first = control_plane.tokens.create(operator("root"), "ann", "owner", None)
    with pytest.raises(ConfigError, match="there is a token named 'ann'"):
        control_plane.tokens.create(operator("root"), "ann", "owner", None)
    control_plane.tokens.create(operator("root"), "ann's laptop", "owner", None)
    with pytest.raises(ConfigError) as caught:
        control_plane.tokens.create(operator("root"), "ann's laptop", "owner", None)
    (command,) = re.findall("`(.*)`", str(caught.value))
    assert shlex.split(command) == ["anyscale", "server", "revoke-token", "ann's laptop"]
    control_plane.tokens.revoke(operator("root"), "ann")
    control_plane.tokens.create(operator("root"), "ann", "owner", None)
    with pytest.raises(NotAuthenticated, match="was revoked"):
        control_plane.tokens.authenticate(first)
    with pytest.raises(NotFound):
        control_plane.tokens.revoke(operator("root"), "nobody")


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "\u3164", "an\u2800n", "x" * 65])
def test_a_name_is_short_and_has_visible_characters_only(
    control_plane: ControlPlane, name: str
) -> None:
    with pytest.raises(ConfigError):
        control_plane.tokens.create(operator("root"), name, "owner", None)


def test_a_token_expires_by_the_clock_of_the_database(control_plane: ControlPlane) -> None:
    token = control_plane.tokens.create(operator("root"), "ann", "owner", 1)
    control_plane.tokens.authenticate(token)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update tokens set expires_at = 1")
    with pytest.raises(NotAuthenticated, match="has expired"):
        control_plane.tokens.authenticate(token)


def test_a_token_has_expired_at_its_time_of_expiry(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = control_plane.tokens.create(operator("root"), "ann", "owner", 1)
    expires_at = control_plane.tokens.all()[0].expires_at
    assert expires_at
    with control_plane.store.read() as tx:
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


def test_publishing_checks_the_permission_again(control_plane: ControlPlane) -> None:
    token = control_plane.tokens.create(operator("root"), "ann", "owner", None)
    caller = control_plane.tokens.authenticate(token)
    batch = control_plane.batches.open(caller, "key", "fail")
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a"))
    control_plane.tokens.revoke(operator("root"), "ann")
    with pytest.raises(NotAuthenticated):
        control_plane.batches.publish(caller, batch.batch_id, 1)
    with pytest.raises(NotAuthenticated):
        control_plane.batches.create(caller, "small", checked_users("b"), "fail")
    assert find_accounts(control_plane) == []


@pytest.mark.parametrize("role", ["collaborator", "provisioner", ""])
def test_no_token_is_created_that_could_do_nothing(control_plane: ControlPlane, role: str) -> None:
    with pytest.raises(ConfigError, match="could do nothing"):
        control_plane.tokens.create(operator("root"), "carl", role, None)
    assert not control_plane.tokens.any_exists()


def test_a_reader_may_not_publish(control_plane: ControlPlane) -> None:
    token = control_plane.tokens.create(operator("root"), "carl", "reader", None)
    caller = control_plane.tokens.authenticate(token)
    with pytest.raises(NotPermitted):
        control_plane.batches.create(caller, "small", checked_users("b"), "fail")


def test_changes_of_tokens_are_in_the_audit_log(control_plane: ControlPlane) -> None:
    control_plane.tokens.create(operator("root"), "ann", "owner", 7)
    control_plane.tokens.revoke(operator("joe"), "ann")
    entries = control_plane.audit_log.list(0, 10)
    assert [(e.event, e.actor) for e in entries] == [
        ("token.created", "local:root"),
        ("token.revoked", "local:joe"),
    ]
    assert verify(entries).fault is None


def test_the_audit_log_is_valid_after_a_purge_of_old_entries(control_plane: ControlPlane) -> None:
    for name in "abcd":
        control_plane.tokens.create(operator("root"), name, "owner", None)
    with control_plane.store.read() as tx:
        now = tx.now()
    control_plane.audit_log.purge(now + 1)
    entries = control_plane.audit_log.list(0, 10)
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
