"""Files in the folder of signing keys that are of no use, beside good ones."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import RSAKey
from tests.support.sign_in.openid_provider import Site, logged

from anyscale.errors import NotFound
from anyscale.server.core.openid.key_files import SIGNING_KEYS, create_key
from anyscale.server.core.openid.signing_keys import SigningKeys

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


def private_bytes(key: Any, encoding: Any = PEM, password: bytes | None = None) -> bytes:
    protection: Any = serialization.NoEncryption()
    if password:
        protection = serialization.BestAvailableEncryption(password)
    content: bytes = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, encryption_algorithm=protection
    )
    return content


GOOD = rsa.generate_private_key(65537, 2048)
UNKNOWN_ALGORITHM = private_bytes(GOOD, DER).replace(
    bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d010201")
)

NO_NAME, NO_RSA = "the name of a signing key is the time", "must contain an RSA key as PEM"
SHORT = "must contain a private RSA key of at least 2048 bits"

#: name of a file, its content and what is wrong with it
WRONG_FILES = [
    ("backup.pem", private_bytes(GOOD), NO_NAME),
    ("20261399T000000Z.pem", private_bytes(GOOD), NO_NAME),
    ("2026112T0000000Z.pem", private_bytes(GOOD), NO_NAME),
    ("20260102T000001Z.pem", private_bytes(GOOD, password=b"x"), "is encrypted"),
    ("20260102T000002Z.pem", private_bytes(GOOD, DER, b"x"), "is encrypted"),
    ("20260102T000003Z.pem", UNKNOWN_ALGORITHM, NO_RSA),
    ("20260102T000004Z.pem", b"", NO_RSA),
    ("20260102T000005Z.pem", b"no key", NO_RSA),
    ("20260102T000006Z.pem", private_bytes(ec.generate_private_key(ec.SECP256R1())), NO_RSA),
    ("20260102T000007Z.pem", RSAKey.import_key(GOOD).as_pem(private=False), SHORT),
    ("20260102T000008Z.pem", private_bytes(rsa.generate_private_key(65537, 1024)), SHORT),
]


def test_a_new_key_has_3072_bits_and_one_of_2048_still_signs(site: Site, folder: Path) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    create_key(folder, at)
    earlier = folder / "20260101T000000Z.pem"
    earlier.touch(mode=0o600)
    earlier.write_bytes(private_bytes(GOOD))

    keys = SIGNING_KEYS.read_all(folder)

    assert not keys.faults
    sizes = {name: key.pair.raw_value.key_size for name, key in keys.keys.items()}
    assert sizes["20260102T000000Z.pem"] == 3072
    assert sizes[earlier.name] == 2048


@pytest.fixture
def folder(site: Site) -> Path:
    return site.provider.keys.folder


def keys_of(site: Site, folder: Path) -> SigningKeys:
    """Give the keys as a server reads them that starts now."""
    return SigningKeys(site.control_plane.transactions, folder)


def place_wrong_files(folder: Path) -> dict[str, str]:
    """Put all kinds of wrong files into a folder; give what is wrong with each."""
    for name, content, _ in WRONG_FILES:
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    os.mkfifo(folder / "20260102T000009Z.pem", 0o600)
    (folder / "20260102T000010Z.pem").mkdir()
    create_key(folder, datetime(2026, 1, 2, 0, 0, 11, tzinfo=UTC)).chmod(0o644)
    return {name: fault for name, _, fault in WRONG_FILES} | {
        "20260102T000009Z.pem": "is not a file",
        "20260102T000010Z.pem": "is not a file",
        "20260102T000011Z.pem": "others can read",
    }


def test_wrong_files_beside_a_good_key_stop_no_server_and_are_logged_each_minute(
    site: Site, folder: Path, later: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    running = site.provider.keys
    first = running.current()
    faults = place_wrong_files(folder)

    for keys in (running, running, keys_of(site, folder)):
        caplog.clear()
        later()
        assert keys.current() == first
        assert keys.current() == first
        lines = logged(caplog)
        assert len(lines) == len(faults)
        for name, fault in faults.items():
            (line,) = [one for one in lines if f"{folder / name}" in one]
            assert line.startswith("signing key cannot be used: ")
            assert fault in line
        assert {one.levelname for one in caplog.records} == {"ERROR"}


def test_a_new_good_key_beside_wrong_files_signs(
    site: Site, folder: Path, later: Callable[[], None]
) -> None:
    first = site.provider.keys.current()
    place_wrong_files(folder)
    create_key(folder, datetime.now(UTC) - timedelta(minutes=1))

    later()
    assert site.provider.keys.current() != first


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_key_that_becomes_unusable_stays_in_use_until_the_server_stops(
    site: Site,
    folder: Path,
    mode: int,
    later: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = site.provider.keys
    first = keys.current()
    (path,) = folder.glob("*.pem")
    path.chmod(mode)
    for _ in range(2):
        later()
        assert keys.current() == first
    lines = logged(caplog)
    assert len(lines) == 2
    assert all(line.startswith("signing key cannot be used: others can read") for line in lines)
    with pytest.raises(NotFound):
        keys_of(site, folder).current()

    path.unlink()
    later()
    with pytest.raises(NotFound, match="no signing key works"):
        keys.current()


def test_a_folder_that_cannot_be_read_changes_nothing(
    site: Site, folder: Path, later: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    keys = site.provider.keys
    first = keys.current()
    folder.rename(folder.with_name("moved"))
    folder.touch()

    later()
    assert keys.current() == first
    (line,) = logged(caplog)
    assert line == f"signing keys cannot be read: cannot read the folder {folder}: Not a directory"


def test_a_key_as_der_is_read(tmp_path: Path) -> None:
    path = tmp_path / "20260101T000000Z.pem"
    path.touch(mode=0o600)
    path.write_bytes(private_bytes(GOOD, DER))

    assert list(SIGNING_KEYS.read_all(tmp_path).keys) == [path.name]
