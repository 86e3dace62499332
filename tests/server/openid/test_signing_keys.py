"""The keys that sign ID tokens: files of one server, public keys of all."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from tests.support.sign_in.openid_provider import Site

from anyscale.errors import ConfigError
from anyscale.server.core.openid.signing_keys import (
    SigningKeys,
    create_key,
    read_keys,
    revoke_other_keys,
)


@pytest.fixture
def folder(site: Site) -> Path:
    return site.provider.keys.folder


def keys_of(site: Site, folder: Path) -> SigningKeys:
    """Give the keys as a server reads them that starts now."""
    return SigningKeys(site.control_plane.store, folder)


def test_the_next_key_signs_after_its_time_and_is_published_at_once(
    site: Site, folder: Path
) -> None:
    first = site.provider.keys.current()
    create_key(folder, datetime.now(UTC) + timedelta(hours=1))

    keys = keys_of(site, folder)
    assert keys.current() == first
    assert len(keys.published()) == 2


def test_a_token_of_the_key_before_is_still_valid(site: Site, folder: Path) -> None:
    token = site.provider.keys.sign({"sub": "x"})
    create_key(folder, datetime.now(UTC))

    keys = keys_of(site, folder)
    assert keys.verify(token) == {"sub": "x"}
    assert keys.verify(keys.sign({"sub": "y"})) == {"sub": "y"}


def test_a_stolen_key_signs_nothing_any_more_on_any_server(
    site: Site, folder: Path, tmp_path: Path
) -> None:
    token = site.provider.keys.sign({"sub": "x"})
    other_server = tmp_path / "other"
    shutil.copytree(folder, other_server)
    path = create_key(folder, datetime.now(UTC))
    revoke_other_keys(site.control_plane.store, folder, path)

    assert [one.name for one in folder.glob("*.pem")] == [path.name]
    assert keys_of(site, folder).verify(token) is None
    behind = keys_of(site, other_server)
    with pytest.raises(ConfigError, match="signs yet"):
        behind.current()
    assert behind.verify(token) is None
    assert len(behind.missing()) == 1


def test_a_server_names_the_keys_that_it_lacks(site: Site, folder: Path, tmp_path: Path) -> None:
    kid = site.provider.keys.current().kid
    create_key(tmp_path / "other", datetime.now(UTC))
    other = keys_of(site, tmp_path / "other")

    assert other.missing() == [kid]
    assert {key["kid"] for key in other.published()} == {kid, other.current().kid}
    assert folder.exists()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(folder: Path, mode: int) -> None:
    (path,) = folder.glob("*.pem")
    path.chmod(mode)

    with pytest.raises(ConfigError, match="others can read"):
        read_keys(folder)


@pytest.mark.parametrize(
    "content", [b"", b"no key", RSAKey.generate_key(2048).as_pem(private=False)]
)
def test_a_file_without_a_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "20260101T000000Z.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"must contain a"):
        read_keys(tmp_path)


def test_the_name_of_a_file_is_a_time(tmp_path: Path) -> None:
    create_key(tmp_path, datetime.now(UTC)).rename(tmp_path / "key.pem")

    with pytest.raises(ConfigError, match="create-signing-key"):
        read_keys(tmp_path)


def test_a_key_is_created_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    path = create_key(tmp_path / "keys", at)

    assert path.name == "20260101T000000Z.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ConfigError, match="File exists"):
        create_key(tmp_path / "keys", at)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


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
