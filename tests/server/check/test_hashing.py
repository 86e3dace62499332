"""`anyscale server check` on the speed of hashing."""

import os
import re

import pytest
from tests.support.commands.check_results import check_in_process

from anyscale.errors import HashingUnavailable
from anyscale.server.check import hashing
from anyscale.server.core.hashing.argon2id import OWASP, Hasher


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_SECONDS", 0.1)


@pytest.mark.parametrize("check", ["hashing.new", "hashing.imported"])
def test_each_core_is_measured_with_both_libraries(check: str) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)

    result = check_in_process({}, check)[check]

    found = re.fullmatch(
        r"(\d+) cores? hash ([\d, ]+) a second, (\d+) together: "
        r"10,000 passwords take (.+); 1,000,000 passwords take ([\w ]+)( \(.+\))?",
        result.found,
    )
    assert result.status == "ok"
    assert found
    assert int(found[1]) == len(found[2].split(", ")) == len(os.sched_getaffinity(0))
    assert (os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)) == before


def test_a_hash_that_takes_longer_than_the_measurement_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashing, "_SECONDS", 0)

    assert hashing._rate_on(lambda: None, None) > 0


def test_the_imported_hash_is_one_that_argon2_cffi_verifies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nacl.pwhash.argon2id.kdf", None)  # not called

    assert not Hasher(OWASP).verify(hashing._IMPORTED, "any")


def test_too_little_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise HashingUnavailable("there is not enough memory")

    monkeypatch.setattr(Hasher, "hash", fail)
    result = check_in_process({}, "hashing.new")["hashing.new"]

    assert result.status == "fail"
    assert "memory" in result.fix


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (133, "2 min 13 s"),
        (13_320, "3 h 42 min"),
    ],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert hashing._duration(seconds) == text
