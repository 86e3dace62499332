"""Hashing and verifying one password: both libraries, and texts that are not hashes."""

import resource
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import pytest
from argon2.low_level import ARGON2_VERSION, Type, core, ffi
from hypothesis import example, given
from hypothesis import strategies as st
from nacl.pwhash import argon2id

from anyscale.domain.passwords import normalized
from anyscale.errors import HashingUnavailable
from anyscale.server.core.hashing.argon2id import CHEAPEST, OWASP, Hasher, Profile

PASSWORD = "correct horse battery"

passwords = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

#: parameters that other products may have used
others = st.builds(
    argon2.PasswordHasher,
    time_cost=st.integers(1, 3),
    memory_cost=st.integers(32, 64),
    parallelism=st.integers(1, 4),
    hash_len=st.integers(4, 64),
    salt_len=st.integers(8, 24),
)

#: one for each library that verifies
HASHERS = {
    "PyNaCl": argon2.PasswordHasher(1, 8, 1, salt_len=16),
    "argon2-cffi": argon2.PasswordHasher(1, 16, 2),
}


@pytest.fixture(params=list(HASHERS))
def make(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Make a hash that is verified by one of both libraries."""
    return HASHERS[request.param].hash


@pytest.fixture
def hasher() -> Hasher:
    return Hasher(CHEAPEST)


def test_argon2_cffi_computes_what_rfc_9106_says() -> None:
    """The test vector of its section 5.3, with the secret and the data that we do not use."""
    tag = ffi.new("uint8_t[]", 32)
    inputs = {
        name: ffi.new("uint8_t[]", list(octets))
        for name, octets in {
            "pwd": b"\x01" * 32,
            "salt": b"\x02" * 16,
            "secret": b"\x03" * 8,
            "ad": b"\x04" * 12,
        }.items()
    }
    lengths = {f"{name}len": len(octets) for name, octets in inputs.items()}
    costs = {"t_cost": 3, "m_cost": 32, "lanes": 4, "threads": 4, "version": ARGON2_VERSION}
    rest = {"out": tag, "outlen": 32, "allocate_cbk": ffi.NULL, "free_cbk": ffi.NULL, "flags": 0}
    context = ffi.new("argon2_context *", inputs | lengths | costs | rest)

    assert core(context, Type.ID.value) == 0

    assert bytes(tag).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


@pytest.mark.parametrize(("memory", "passes"), [(8, 1), (64, 1), (19456, 2), (1024, 5)])
def test_both_libraries_compute_one_tag(memory: int, passes: int) -> None:
    salt = b"sixteen octets!!"
    tag = argon2.low_level.hash_secret_raw(b"password", salt, passes, memory, 1, 32, Type.ID)
    assert argon2id.kdf(32, b"password", salt, passes, memory * 1024) == tag


def test_a_hash_states_its_parameters_and_has_a_salt_of_its_own() -> None:
    first, second = Hasher(OWASP).hash([PASSWORD, PASSWORD])
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    parameters = argon2.extract_parameters(first)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)
    assert PASSWORD not in first


@given(others, passwords)
def test_hashes_of_argon2_cffi_with_any_parameters_are_verified(
    other: argon2.PasswordHasher, password: str
) -> None:
    stored = other.hash(normalized(password))
    hasher = Hasher(CHEAPEST)
    assert hasher.verify(stored, password)
    assert not hasher.verify(stored, f"{password}x")
    assert hasher.needs_rehash(stored)


@given(st.integers(1, 3), st.integers(8, 64), passwords)
@example(1, 8, "")
@example(1, 8, "\0")
def test_hashes_of_both_libraries_are_verified_and_ours_by_both(
    passes: int, memory: int, password: str
) -> None:
    hasher, password = Hasher(Profile(memory_kib=memory, passes=passes)), normalized(password)
    secret, by_argon2 = password.encode(), argon2.PasswordHasher(passes, memory, 1)
    (ours,) = hasher.hash([password])
    assert argon2id.verify(ours.encode(), secret)
    assert by_argon2.verify(ours, password)
    by_nacl = argon2id.str(secret, passes, memory * 1024).decode()
    for stored in (ours, by_nacl, by_argon2.hash(password)):
        assert hasher.verify(stored, password)
        assert not hasher.verify(stored, f"{password}x")
        assert not hasher.needs_rehash(stored)


@pytest.mark.parametrize("kind", [Type.I, Type.D])
def test_hashes_of_other_kinds_of_argon2_are_verified_and_need_a_rehash(kind: Type) -> None:
    stored = argon2.PasswordHasher(1, 8, 1, type=kind).hash(PASSWORD)
    hasher = Hasher(CHEAPEST)
    assert hasher.verify(stored, PASSWORD)
    assert not hasher.verify(stored, "wrong")
    assert hasher.needs_rehash(stored)


def test_hashes_of_version_1_0_are_verified_and_need_a_rehash() -> None:
    stored = argon2.low_level.hash_secret(
        PASSWORD.encode(), b"sixteen octets!!", 1, 8, 1, 32, Type.ID, 0x10
    ).decode()
    hasher = Hasher(CHEAPEST)
    assert "$v=16$" in stored
    assert hasher.verify(stored, PASSWORD)
    assert not hasher.verify(stored, "wrong")
    assert hasher.needs_rehash(stored)


def test_the_right_password_is_right_and_another_is_not(
    hasher: Hasher, make: Callable[[str], str]
) -> None:
    stored = make(PASSWORD)
    assert hasher.verify(stored, PASSWORD)
    for wrong in ("", PASSWORD.upper(), f"{PASSWORD} ", PASSWORD[:-1], "\ud800"):
        assert not hasher.verify(stored, wrong)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_spellings_of_a_letter_are_one_password(
    hasher: Hasher, make: Callable[[str], str], form: str
) -> None:
    text = "Zoë's café, twice"
    stored = make(unicodedata.normalize("NFC", text))
    assert hasher.verify(stored, unicodedata.normalize(form, text))  # type: ignore[arg-type]  # typeshed wants a literal


def test_all_of_a_long_password_counts(hasher: Hasher, make: Callable[[str], str]) -> None:
    long = "x" * 1_023
    stored = make(f"{long}a")
    assert hasher.verify(stored, f"{long}a")
    assert not hasher.verify(stored, f"{long}b")
    (ours,) = hasher.hash([f"{long}a"])
    assert hasher.verify(ours, f"{long}a")
    assert not hasher.verify(ours, f"{long}b")


def test_a_lone_surrogate_cannot_be_hashed(hasher: Hasher) -> None:
    with pytest.raises(UnicodeEncodeError):
        hasher.hash(["\ud800"])


@pytest.mark.parametrize(
    "other",
    [
        argon2.PasswordHasher(2, 8, 1),
        argon2.PasswordHasher(1, 16, 1),
        argon2.PasswordHasher(1, 16, 2),
        argon2.PasswordHasher(1, 8, 1, hash_len=31),
        argon2.PasswordHasher(1, 8, 1, salt_len=17),
        argon2.PasswordHasher(1, 8, 1, salt_len=17, hash_len=31),
        argon2.PasswordHasher(1, 8, 1, type=Type.I),
    ],
)
def test_a_hash_with_another_parameter_needs_a_rehash(other: argon2.PasswordHasher) -> None:
    assert Hasher(CHEAPEST).needs_rehash(other.hash(PASSWORD))
    assert not Hasher(CHEAPEST).needs_rehash(argon2.PasswordHasher(1, 8, 1).hash(PASSWORD))


# Texts that are not hashes


@given(st.data())
def test_a_damaged_hash_verifies_nothing_and_fails_nothing(data: st.DataObject) -> None:
    hasher = Hasher(CHEAPEST)
    (stored,) = hasher.hash([PASSWORD])
    at = data.draw(st.integers(0, len(stored) - 1))
    with_what = data.draw(st.text(max_size=3))
    damaged = stored[:at] + with_what + stored[at + 1 :]
    if hasher.verify(damaged, PASSWORD):
        # The same octets in another spelling: `m=08`, or the unused bits of the last digit.
        assert argon2.extract_parameters(damaged) == argon2.extract_parameters(stored)


@given(st.text())
def test_no_text_is_taken_for_a_hash(text: str) -> None:
    hasher = Hasher(CHEAPEST)
    assert not hasher.verify(text, PASSWORD)
    assert hasher.needs_rehash(text)


@pytest.mark.parametrize("password", ["", PASSWORD, "\ud800"])
def test_nothing_is_verified_without_a_hash(hasher: Hasher, password: str) -> None:
    assert not hasher.verify(None, password)
    assert not hasher.verify("", password)
    assert not hasher.verify("not a hash", password)


def phc(costs: str, salt: str = "c2l4dGVlbiBvY3RldHMhIQ", tag: str = "A" * 43) -> str:
    return f"$argon2id$v=19${costs}${salt}${tag}"


@pytest.mark.parametrize(
    "absurd",
    [
        phc("m=4294967295,t=2,p=1"),
        phc("m=33554432,t=1,p=1"),
        phc("m=33554432,t=1,p=4"),
        phc("m=19456,t=4294967295,p=1"),
        phc("m=8,t=4294967295,p=1"),
        phc("m=262144,t=5,p=1"),
        phc("m=134217728,t=1,p=16777215"),
        phc(f"m={10**30},t=1,p=1"),
        phc(f"m=8,t={10**30},p=1"),
        phc(f"m={'9' * 10_000},t=1,p=1"),
        phc("m=-8,t=-1,p=-1"),
        phc("m=8,t=0,p=1"),
        phc("m=0,t=1,p=1"),
        phc("m=8,t=1,p=0"),
        phc("m=8,t=1,p=2"),
        phc("m=8,t=1,p=1", salt="YQ"),
        phc("m=8,t=1,p=1", tag="YQ"),
        phc("m=8,t=1,p=1", salt=""),
        phc("m=8,t=1,p=1", tag=""),
    ],
)
def test_an_absurd_hash_takes_neither_memory_nor_time(absurd: str) -> None:
    hasher = Hasher(CHEAPEST)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    assert not hasher.verify(absurd, PASSWORD)
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert hasher.needs_rehash(absurd)


@pytest.mark.one_python
@pytest.mark.parametrize("costs", ["m=65536,t=3,p=4", "m=131072,t=3,p=1"])
def test_hashes_as_other_products_make_them_are_within_the_limits(costs: str) -> None:
    memory, passes, lanes = (int(cost[2:]) for cost in costs.split(","))
    stored = argon2.PasswordHasher(passes, memory, lanes).hash(PASSWORD)
    assert Hasher(CHEAPEST).verify(stored, PASSWORD)


# Time


def test_an_account_that_is_missing_costs_what_an_account_costs(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[tuple[object, ...]] = []
    (stored,) = hasher.hash([PASSWORD])
    compute_nacl, compute_argon2 = argon2id.kdf, argon2.low_level.hash_secret_raw

    def count_nacl(size: int, secret: bytes, salt: bytes, passes: int, memory: int) -> bytes:
        costs.append((size, len(salt), passes, memory))
        return compute_nacl(size, secret, salt, passes, memory)

    def count_argon2(secret: bytes, salt: bytes, *rest: Any) -> bytes:
        costs.append((len(salt), *rest))
        return compute_argon2(secret, salt, *rest)

    monkeypatch.setattr(argon2id, "kdf", count_nacl)
    monkeypatch.setattr(argon2.low_level, "hash_secret_raw", count_argon2)
    for password_hash in (stored, None, "", stored, phc("m=4294967295,t=2,p=1")):
        hasher.verify(password_hash, "wrong password")

    assert costs == costs[:1] * 5


# Memory


@pytest.mark.one_python
@pytest.mark.parametrize("lanes", [1, 2])
def test_too_little_memory_is_no_wrong_password(lanes: int) -> None:
    hasher = Hasher(Profile(memory_kib=128 * 1024, passes=1))
    stored = argon2.PasswordHasher(1, 128 * 1024, lanes).hash(PASSWORD)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 64 * 1024 * 1024, hard))
    try:
        with pytest.raises(HashingUnavailable, match="memory"):
            hasher.verify(stored, PASSWORD)
        with pytest.raises(HashingUnavailable, match="memory"):
            hasher.hash([PASSWORD])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert hasher.verify(stored, PASSWORD)
