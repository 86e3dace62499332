"""Seeds as they are stored: encrypted by a key that is a file."""

import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from anyscale.errors import SeedKeyMissing
from anyscale.server.core.second_factor import keys
from anyscale.server.core.second_factor.keys import SEED_KEYS, SeedKeys
from anyscale.server.core.second_factor.seeds import SeedDamaged, decrypt_seed, encrypt_seed
from anyscale.server.core.second_factor.totp import new_seed

SEED = new_seed()


def create(folder: Path, *, hours: int = 0, digit: str = "a") -> Path:
    at = datetime.now(UTC) + timedelta(hours=hours)
    return SEED_KEYS.create(folder, at, (digit * 64).encode())


def test_a_seed_comes_back_for_its_account_and_never_twice_alike(tmp_path: Path) -> None:
    create(tmp_path)
    server = SeedKeys(tmp_path)
    texts = {encrypt_seed(server, SEED, "usr_1") for _ in range(10)}

    assert len(texts) == 10
    assert {decrypt_seed(server, text, "usr_1") for text in texts} == {SEED}


def test_the_text_of_another_account_or_a_changed_one_is_refused(tmp_path: Path) -> None:
    create(tmp_path)
    server = SeedKeys(tmp_path)
    text = encrypt_seed(server, SEED, "usr_1")

    with pytest.raises(SeedDamaged):
        decrypt_seed(server, text, "usr_2")
    for place in range(17, len(text) - 2):
        other = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(SeedDamaged):
            decrypt_seed(server, other, "usr_1")


def test_the_newest_key_that_is_due_encrypts_and_all_decrypt(tmp_path: Path) -> None:
    create(tmp_path, hours=-2, digit="a")
    old = encrypt_seed(SeedKeys(tmp_path), SEED, "usr_1")
    create(tmp_path, hours=-1, digit="b")
    create(tmp_path, hours=1, digit="c")
    server = SeedKeys(tmp_path)
    new = encrypt_seed(server, SEED, "usr_1")

    assert old[:16] != new[:16] == server.current().fingerprint
    assert server.current().secret.hex() == "b" * 64
    assert {decrypt_seed(server, text, "usr_1") for text in (old, new)} == {SEED}


def test_a_server_without_the_key_says_so_and_finds_it_as_soon_as_it_is_copied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = create(tmp_path / "one")
    text = encrypt_seed(SeedKeys(tmp_path / "one"), SEED, "usr_1")
    other = SeedKeys(tmp_path / "two")

    with caplog.at_level(logging.ERROR), pytest.raises(SeedKeyMissing, match="administrator"):
        decrypt_seed(other, text, "usr_1")
    (record,) = caplog.records
    assert text[:16] in vars(record)["detail"]
    with pytest.raises(SeedKeyMissing):
        encrypt_seed(other, SEED, "usr_1")

    (tmp_path / "two").mkdir()
    path.rename(tmp_path / "two" / path.name)
    assert decrypt_seed(other, text, "usr_1") == SEED


def test_without_a_folder_there_is_no_key() -> None:
    with pytest.raises(SeedKeyMissing):
        SeedKeys(None).current()


@pytest.mark.parametrize("content", ["", "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n\n"])
def test_a_file_that_is_not_a_key_is_named_and_changes_nothing(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    create(tmp_path, hours=-1)
    wrong = SEED_KEYS.create(tmp_path, datetime.now(UTC), content.encode())
    server = SeedKeys(tmp_path)

    with caplog.at_level(logging.ERROR):
        assert server.current().secret.hex() == "a" * 64
    (record,) = caplog.records
    assert record.getMessage() == "second factor key cannot be used"
    assert str(wrong) in vars(record)["detail"]


def test_a_key_is_shown_in_no_repr_and_in_no_text(tmp_path: Path) -> None:
    create(tmp_path)
    key = SeedKeys(tmp_path).current()

    assert "a" * 8 not in f"{key!r}"
    assert key.secret.hex()[:16] != key.fingerprint


def test_a_running_server_reads_its_folder_again_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path, hours=-1, digit="a")
    server = SeedKeys(tmp_path)
    old = server.current()
    create(tmp_path, digit="b")
    assert server.current() == old

    later = time.monotonic() + 61
    clock = SimpleNamespace(monotonic=lambda: later, time=time.time)
    monkeypatch.setattr(keys, "time", clock)
    assert server.current().secret.hex() == "b" * 64
