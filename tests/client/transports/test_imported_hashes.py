"""Hashes that other systems have made, from a list of users to the first sign-in."""

import io
import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import passlib.hash
import pytest
from msgspec import json, structs
from tests.support.databases.stored_data import execute_sql
from tests.support.run_keys import OnceKey
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import HOME, fail_to_sign_in, get_account, sign_in
from tests.support.users import PASSWORD, checked_user

from anyscale.batch_run.outcome import Outcome
from anyscale.batch_run.run import BatchRun
from anyscale.comparison.verification import Verification
from anyscale.domain.user_sources import WeakHash
from anyscale.errors import BatchRefused, InvalidCredentials
from anyscale.server.core.hashing.schemes import verified
from anyscale.transport.base import Transport
from anyscale.user.list_source import ListSource
from anyscale.user.models import AdminImportUser
from anyscale.users_file import UsersFile

STRONG = passlib.hash.pbkdf2_sha256.using(rounds=10_000).hash(PASSWORD)
CRYPT = passlib.hash.sha512_crypt.using(rounds=5_000).hash(PASSWORD)
WEAK = passlib.hash.ldap_salted_sha1.hash(PASSWORD)


@pytest.fixture
def transport(deployment: Deployment) -> Iterator[Transport]:
    with closing(deployment.transport()) as transport:
        yield transport


def users(*hashes: str | None, **fields: Any) -> list[AdminImportUser]:
    """Make users by their hashes: a@example.com, b@example.com and so on."""
    return [
        AdminImportUser("Jane", f"{chr(97 + at)}@example.com", password_hash=one, **fields)
        for at, one in enumerate(hashes)
    ]


def create(
    transport: Transport, people: list[AdminImportUser], key: str = "key", **options: Any
) -> Outcome:
    run = BatchRun(
        transport,
        ListSource(people),
        OnceKey(key),
        if_exists="fail",
        drop_command=str,
        **options,
    )
    return run.run()


def test_a_hash_that_this_machine_cannot_verify_is_refused(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "supported_schemes", frozenset)
    with pytest.raises(BatchRefused) as refused:
        create(transport, users(STRONG, CRYPT))
    (problem,) = refused.value.problems
    assert (problem.index, problem.code) == (1, "password_hash_unsupported")


@pytest.mark.parametrize("count", [2, 7])
def test_hashes_sign_in_with_the_passwords_that_were_chosen_elsewhere(
    deployment: Deployment, transport: Transport, count: int
) -> None:
    outcome = create(transport, users(*[STRONG, None] * (count // 2), STRONG)[:count])
    assert outcome.created == count
    with closing(deployment.control_plane()) as control_plane:
        account = get_account(control_plane, "a@example.com")
        assert account.password_hash == STRONG
        assert (account.imported_ms or 0) > 0
        signed_in = sign_in(control_plane, "a@example.com", PASSWORD, HOME)
        caller = control_plane.sessions.authenticate(signed_in.session)
        assert caller.account.password_set_at  # its user has chosen it: it is not initial
        fail_to_sign_in(control_plane, HOME, "b@example.com")
        rehashed = get_account(control_plane, "a@example.com")
        assert rehashed.password_hash != STRONG
        assert rehashed.imported_ms is None
        assert rehashed.password_set_at == account.password_set_at
        sign_in(control_plane, "a@example.com", PASSWORD, HOME)


@pytest.mark.parametrize("count", [2, 7])
def test_weak_hashes_are_refused_or_wrapped_and_never_stored(
    deployment: Deployment, transport: Transport, count: int
) -> None:
    people = users(*[WEAK, STRONG] * (count // 2), WEAK)[:count]
    with pytest.raises(BatchRefused) as refused:
        create(transport, people, "refused")
    assert {(one.field, one.code) for one in refused.value.problems} == {
        ("password_hash", "password_hash_weak")
    }

    assert create(transport, people, accept_weak_hashes=True).created == count

    with closing(deployment.control_plane()) as control_plane:
        stored = get_account(control_plane, "a@example.com")
        assert stored.password_hash
        assert stored.password_hash.startswith("$wrapped$")
        assert stored.password_set_at
        assert stored.imported_ms
        fail_to_sign_in(control_plane, HOME, "a@example.com")
        sign_in(control_plane, "a@example.com", PASSWORD, HOME)
        assert get_account(control_plane, "a@example.com").imported_ms is None


def test_a_repeated_chunk_keeps_the_first_hash_and_no_digest_covers_one(
    deployment: Deployment, transport: Transport
) -> None:
    def chunk(text: str | None) -> list[Any]:
        user = structs.replace(checked_user("a@example.com", PASSWORD), password_hash=text)
        return [user, checked_user("b@example.com")]

    batch = transport.batches.open("key", "fail")
    other = passlib.hash.pbkdf2_sha256.using(rounds=10_000).hash("another password")
    for text in (STRONG, other, None):
        assert transport.batches.reserve(batch.batch_id, 0, chunk(text)).users == 2
    assert transport.batches.show(batch.batch_id).hashes_due == 0
    assert transport.batches.hash(batch.batch_id, [(0, "another password")]) == 0
    transport.batches.publish(batch.batch_id, 2)
    with closing(deployment.control_plane()) as control_plane:
        assert get_account(control_plane, "a@example.com").password_hash == STRONG


def test_a_text_that_is_no_hash_is_refused_by_the_control_plane_too(transport: Transport) -> None:
    batch = transport.batches.open("key", "fail")
    user = checked_user("a@example.com", PASSWORD)
    transport.batches.reserve(batch.batch_id, 0, [user])
    for text in ("$6$rounds=999999999$salt$hash", "nothing"):
        with pytest.raises(BatchRefused) as refused:
            transport.batches.hash(batch.batch_id, [WeakHash(0, text)])
        (problem,) = refused.value.problems
        assert (problem.index, problem.field) == (0, "password_hash")


def test_no_hash_is_shown_or_kept_anywhere_else(
    deployment: Deployment, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    people = users(STRONG, WEAK, STRONG)
    outcome = create(transport, people, accept_weak_hashes=True)
    with pytest.raises(BatchRefused) as refused:
        create(transport, users(STRONG, WEAK, "$2x$12$" + STRONG), "again")
    with closing(deployment.control_plane()) as control_plane, control_plane.store.read() as tx:
        tables = ("batches", "chunks", "conflicts", "audit")
        stored = [execute_sql(tx, f"select * from {table}").fetchall() for table in tables]
    shown = f"{people} {outcome} {list(outcome.users)} {refused.value} {stored} {caplog.text}"
    shown += json.encode(refused.value.problems).decode()
    for secret in (STRONG, WEAK):
        assert secret[8:30] not in shown


@pytest.mark.parametrize("count", [2, 7])
def test_people_of_a_directory_sign_in_but_not_those_who_are_locked(
    deployment: Deployment, transport: Transport, count: int
) -> None:
    locked = "nsAccountLock: TRUE\n"
    text = "".join(
        f"dn: uid={name}\nobjectClass: inetOrgPerson\ncn: {name}\nmail: {name}@example.com\n"
        f"userPassword: {{CRYPT}}{CRYPT}\n{locked if name == 'b' else ''}\n"
        for name in "abcdefg"[:count]
    )
    file = UsersFile(io.BytesIO(text.encode()), "people.ldif", "ldif")
    run = BatchRun(transport, file, OnceKey("key"), if_exists="fail", drop_command=str)
    assert run.run().created == count
    with closing(deployment.control_plane()) as control_plane:
        assert sign_in(control_plane, "a@example.com", PASSWORD, HOME).session
        assert get_account(control_plane, "b@example.com").suspended_at
        with pytest.raises(InvalidCredentials, match="suspended"):
            sign_in(control_plane, "b@example.com", PASSWORD, HOME)
    if count == 2:  # a chunk of this control plane has no more
        assert list(Verification(transport, file).differences()) == []
