"""The keys that sign ID tokens: files of one server, public keys of all."""

import errno
import logging
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from msgspec import structs
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.openid_provider import Site, logged

from anyscale.errors import ConfigError, NotFound, StoreUnavailable
from anyscale.server.core.openid import key_rotation
from anyscale.server.core.openid.key_files import SIGNING_KEYS, create_key
from anyscale.server.core.openid.key_rotation import rotate_keys
from anyscale.server.core.openid.signing_keys import SigningKeys
from anyscale.server.core.transactions import Transactions


@pytest.fixture
def folder(site: Site) -> Path:
    return site.provider.keys.folder


def keys_of(site: Site, folder: Path) -> SigningKeys:
    """Give the keys as a server reads them that starts now."""
    return SigningKeys(site.control_plane.transactions, folder)


def test_the_next_key_signs_after_its_time_and_is_published_at_once(
    site: Site, folder: Path
) -> None:
    first = site.provider.keys.current()
    create_key(folder, datetime.now(UTC) + timedelta(hours=1))

    keys = keys_of(site, folder)
    assert keys.current() == first
    assert len(keys.published()) == 2


def test_a_running_server_checks_the_primes_of_a_key_once(
    site: Site, folder: Path, later: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    original = RSAKey.import_key

    def import_key(content: bytes) -> RSAKey:
        checked.append(content)
        return original(content)

    monkeypatch.setattr(RSAKey, "import_key", import_key)
    new = create_key(folder, datetime.now(UTC))
    keys = keys_of(site, folder)
    for _ in range(3):
        later()
        keys.current()
    assert checked == [new.read_bytes()]


def test_a_token_of_the_key_before_is_still_valid(site: Site, folder: Path) -> None:
    token = site.provider.keys.sign({"sub": "x"})
    create_key(folder, datetime.now(UTC))

    keys = keys_of(site, folder)
    assert keys.verify(token) == {"sub": "x"}
    assert keys.verify(keys.sign({"sub": "y"})) == {"sub": "y"}


def test_a_revoked_key_signs_nothing_from_the_answer_on_on_any_server(
    site: Site, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = site.provider.keys
    other_folder = tmp_path / "other"
    shutil.copytree(folder, other_folder)
    other = keys_of(site, other_folder)
    stolen = here.current().kid
    token = other.sign({"sub": "x"})

    new = rotate_keys(site.control_plane.transactions, folder, "local:root", revokes_others=True)

    assert [one.name for one in folder.glob("*.pem")] == [new.path.name]
    assert other.verify(token) is None
    assert here.verify(token) is None
    with caplog.at_level(logging.WARNING), pytest.raises(NotFound, match="no signing key"):
        other.sign({"sub": "x"})
    assert f"signing key is revoked: delete its file: {stolen}" in logged(caplog)
    assert here.verify(here.sign({"sub": "y"})) == {"sub": "y"}
    (published,) = here.published()
    assert published["kid"] == here.current().kid != stolen
    assert f"signing key of another server is missing: {here.current().kid}" in logged(caplog)

    shutil.copy2(new.path, other_folder)
    assert keys_of(site, other_folder).current() == here.current()


def test_a_signature_of_the_moment_of_the_revocation_is_not_given_out(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, encode = site.provider.keys, jwt.encode
    stolen = keys.current().kid

    def encode_and_revoke(*args: Any, **options: Any) -> str:
        token: str = encode(*args, **options)
        monkeypatch.undo()
        rotate_keys(site.control_plane.transactions, folder, "local:root", revokes_others=True)
        return token

    monkeypatch.setattr(jwt, "encode", encode_and_revoke)
    token = keys.sign({"sub": "x"})

    assert keys.verify(token) == {"sub": "x"}
    assert keys.current().kid != stolen


def test_the_newer_of_two_due_keys_signs(site: Site, folder: Path) -> None:
    first = site.provider.keys.current()
    create_key(folder, datetime.now(UTC) - timedelta(minutes=1))

    assert keys_of(site, folder).current().signs_from > first.signs_from


def test_a_running_server_reads_the_folder_again_after_a_minute(
    site: Site, folder: Path, later: Callable[[], None]
) -> None:
    keys = site.provider.keys
    first = keys.current()
    create_key(folder, datetime.now(UTC))
    assert keys.current() == first

    later()
    assert keys.current() != first
    assert len(keys.published()) == 2


def test_a_running_server_publishes_at_once_what_another_one_has_created(
    site: Site, tmp_path: Path
) -> None:
    assert len(site.provider.keys.published()) == 1
    rotate_keys(site.control_plane.transactions, tmp_path / "other", "local:root")

    assert len(site.provider.keys.published()) == 2


def test_without_a_database_the_last_keys_stay_published_and_nothing_is_signed(
    site: Site,
    folder: Path,
    later: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Transactions) -> None:
        raise StoreUnavailable("the database does not respond")

    keys = site.provider.keys
    key, published = keys.current(), keys.published()
    with monkeypatch.context() as outage:
        outage.setattr(Transactions, "read", fail)
        later()
        create_key(folder, datetime.now(UTC))

        assert (keys.current(), keys.published()) == (key, published)
        for use in (lambda: keys.sign({"sub": "x"}), keys_of(site, folder).current):
            with pytest.raises(StoreUnavailable):
                use()
    assert not logged(caplog)

    later()
    assert keys.current() != key


def test_a_server_publishes_the_keys_that_it_lacks_and_logs_them(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kid = site.provider.keys.current().kid
    create_key(tmp_path / "other", datetime.now(UTC))
    other = keys_of(site, tmp_path / "other")

    assert {key["kid"] for key in other.published()} == {kid, other.current().kid}
    assert logged(caplog) == [f"signing key of another server is missing: {kid}"]


def test_a_key_is_created_once_and_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = set[int]()
    monkeypatch.setattr(os, "fsync", lambda number: synced.add(os.fstat(number).st_ino))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    path = create_key(tmp_path / "keys", at)

    assert path.stat().st_ino in synced, "a power failure may leave an empty file"
    assert path.parent.stat().st_ino in synced, "or no file"
    assert path.name == "20260101T000000Z.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ConfigError, match="File exists"):
        create_key(tmp_path / "keys", at)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("is_failing", [stat.S_ISREG, stat.S_ISDIR], ids=["file", "folder"])
def test_a_full_disk_leaves_no_part_of_a_key(
    is_failing: Callable[[int], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        if is_failing(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError, match="No space left"):
        create_key(tmp_path / "keys", datetime.now(UTC))

    assert not list((tmp_path / "keys").iterdir())


def test_tokens_that_another_key_or_algorithm_signed_are_not_valid(site: Site) -> None:
    keys = site.provider.keys
    kid = keys.current().kid
    foreign = RSAKey.generate_key(2048)
    for fields in ({"alg": "RS256", "kid": kid}, {"alg": "RS256"}):
        assert keys.verify(jwt.encode(fields, {"sub": "x"}, foreign)) is None
    good = keys.sign({"sub": "x"})
    header, payload, _ = good.split(".")
    for token in ("", "a.b.c", f"{header}.{payload}.", f"{header}.{payload}", good[:-2] + "AA"):
        assert keys.verify(token) is None
    assert keys.verify(good) == {"sub": "x"}


def entries(site: Site) -> list[tuple[str, str, str]]:
    """Give actor, event and subject of the entries about keys."""
    with site.control_plane.store.read() as tx:
        found = tx.audit.list(0, 100)
    return [
        (one.actor, one.event, one.subject) for one in found if one.event.startswith("signing_key.")
    ]


def test_creating_and_revoking_keys_is_in_the_audit_log(site: Site, folder: Path) -> None:
    store = site.control_plane.store
    first = site.provider.keys.current().kid
    second = rotate_keys(Transactions(store), folder, "local:jane")
    third = rotate_keys(Transactions(store), folder, "local:jane", revokes_others=True)

    assert (second.signs_now, third.signs_now) == (False, True)
    kids = [key.kid for key in SIGNING_KEYS.read_all(folder).keys.values()]
    (created, *others) = entries(site)
    assert created[:2] == ("local:jane", "signing_key.created")
    assert others[0] == ("local:jane", "signing_key.created", *kids)
    assert sorted(others[1:]) == sorted(
        ("local:jane", "signing_key.revoked", kid) for kid in (first, created[2])
    )


def test_a_key_without_an_entry_in_the_audit_log_does_not_stay(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(key_rotation, "append_entries", fail)
    before = list(folder.iterdir())
    with pytest.raises(StoreUnavailable):
        rotate_keys(site.control_plane.transactions, folder, "local:jane", revokes_others=True)

    assert list(folder.iterdir()) == before
    assert site.provider.keys.verify(site.provider.keys.sign({"sub": "x"})) == {"sub": "x"}


def test_a_file_that_cannot_be_deleted_keeps_no_other_revoked_key(site: Site, folder: Path) -> None:
    kid = site.provider.keys.current().kid
    stuck = [folder / f"{year}0101T000000Z.pem" for year in (2024, 2026)]
    for path in stuck:
        path.mkdir()

    with pytest.raises(ConfigError) as failed:
        rotate_keys(site.control_plane.transactions, folder, "local:jane", revokes_others=True)

    assert all(f"cannot delete {path}: " in str(failed.value) for path in stuck)
    assert kid not in {key.kid for key in SIGNING_KEYS.read_all(folder).keys.values()}


def test_the_first_key_of_a_control_plane_signs_at_once(
    store_deployment: Deployment, tmp_path: Path
) -> None:
    settings = structs.replace(store_deployment.settings(), signing_keys=tmp_path / "keys")
    with closing(cheap_control_plane(settings)) as control_plane:
        first = rotate_keys(control_plane.transactions, tmp_path / "keys", "local:jane")
        keys = SigningKeys(control_plane.transactions, tmp_path / "keys")

        assert first.signs_now
        assert keys.verify(keys.sign({"sub": "x"})) == {"sub": "x"}
        # A second server gets a copy of the first key, and no second key that signs at once.
        assert not rotate_keys(
            control_plane.transactions, tmp_path / "other", "local:jane"
        ).signs_now
