"""Hashing and checking passwords."""

import os
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import argon2
import pytest
from argon2.low_level import ARGON2_VERSION, Type, core, ffi
from tests.support.waiting import wait_until

from anyscale.server.core.hashing.argon2id import CHEAPEST, OWASP, Hasher, Profile
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.hashing.worker import (
    CheckJob,
    HashJob,
    HashWorker,
    VerifyJob,
    _stay_awake,
)

PASSWORD = "correct horse battery"


@pytest.fixture(params=[False, True], ids=["in threads", "apart"])
def hashing(request: pytest.FixtureRequest) -> Iterator[PasswordHashPool]:
    with closing(PasswordHashPool(CHEAPEST, apart=request.param)) as hashing:
        yield hashing


def test_a_hash_names_its_parameters_and_has_a_salt_of_its_own() -> None:
    with closing(PasswordHashPool(OWASP)) as hashing:
        first, second = hashing.hash_many([PASSWORD, PASSWORD])
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    parameters = argon2.extract_parameters(first)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)
    assert PASSWORD not in first


def test_the_library_computes_what_rfc_9106_says() -> None:
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
    given = {"out": tag, "outlen": 32, "allocate_cbk": ffi.NULL, "free_cbk": ffi.NULL, "flags": 0}
    context = ffi.new("argon2_context *", inputs | lengths | costs | given)

    assert core(context, Type.ID.value) == 0

    assert bytes(tag).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


def test_the_right_password_is_right_and_another_is_not(hashing: PasswordHashPool) -> None:
    (stored,) = hashing.hash_many([PASSWORD])
    assert hashing.verify(stored, PASSWORD)
    for wrong in ("", PASSWORD.upper(), f"{PASSWORD} ", PASSWORD[:-1], "\ud800"):
        assert not hashing.verify(stored, wrong)


@pytest.mark.parametrize("password", ["", PASSWORD, "\ud800"])
def test_nobody_signs_in_without_a_hash(hashing: PasswordHashPool, password: str) -> None:
    assert not hashing.verify(None, password)
    assert not hashing.verify("", password)
    assert not hashing.verify("not a hash", password)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_spellings_of_a_letter_are_one_password(hashing: PasswordHashPool, form: str) -> None:
    text = "Zoë's café, twice"
    (stored,) = hashing.hash_many([unicodedata.normalize("NFC", text)])
    assert hashing.verify(stored, unicodedata.normalize(form, text))  # type: ignore[arg-type]


def test_all_of_a_long_password_counts(hashing: PasswordHashPool) -> None:
    long = "x" * 1_023
    (stored,) = hashing.hash_many([f"{long}a"])
    assert hashing.verify(stored, f"{long}a")
    assert not hashing.verify(stored, f"{long}b")


def test_a_hash_of_another_profile_still_fits_and_is_to_be_renewed(
    hashing: PasswordHashPool,
) -> None:
    (stored,) = hashing.hash_many([PASSWORD])
    assert not hashing.needs_rehash(stored)
    with closing(PasswordHashPool(Profile(memory_kib=16, passes=1))) as stronger:
        assert stronger.needs_rehash(stored)
        assert stronger.verify(stored, PASSWORD)


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
def test_whatever_differs_from_the_profile_is_to_be_renewed(other: argon2.PasswordHasher) -> None:
    assert Hasher(CHEAPEST).needs_rehash(other.hash(PASSWORD))
    assert not Hasher(CHEAPEST).needs_rehash(argon2.PasswordHasher(1, 8, 1).hash(PASSWORD))


def test_an_account_that_is_missing_costs_what_an_account_costs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = Hasher(CHEAPEST)
    (stored,) = hasher.hash([PASSWORD])
    seen: list[str] = []
    compute = argon2.PasswordHasher.verify

    def count(self: argon2.PasswordHasher, text: str, password: str) -> bool:
        seen.append(text)
        return bool(compute(self, text, password))

    monkeypatch.setattr(argon2.PasswordHasher, "verify", count)
    for password_hash in (stored, None, "", stored):
        hasher.verify(password_hash, "wrong password")

    assert len(seen) == 4
    kinds = [argon2.extract_parameters(text) for text in seen]
    assert kinds == kinds[:1] * 4


def test_hashes_come_in_the_order_of_the_passwords(hashing: PasswordHashPool) -> None:
    passwords = [f"password number {number}" for number in range(40)]
    hashes = hashing.hash_many(passwords)
    assert all(hashing.verify(text, known) for text, known in zip(hashes, passwords, strict=True))
    assert hashing.computed == 40
    assert hashing.hash_many([]) == []


def test_there_is_a_thread_for_each_core_and_each_yields_to_others() -> None:
    cores = len(os.sched_getaffinity(0))
    with closing(PasswordHashPool(CHEAPEST)) as hashing:
        hashing.hash_many([PASSWORD] * cores * 8)
        _check_threads(hashing, cores)


def _check_threads(hashing: PasswordHashPool, cores: int) -> None:
    threads = list(hashing._pool._threads)

    assert hashing._pool._max_workers == cores
    assert 1 <= len(threads) <= cores
    assert {os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) for thread in threads} == {19}
    assert os.getpriority(os.PRIO_PROCESS, 0) < 19


def _begun(hashing: PasswordHashPool) -> list[HashWorker]:
    """Give the processes that hash, of which nobody has one now."""
    assert hashing._processes
    return hashing._processes.begun()


def test_apart_there_is_a_process_for_each_core_and_each_yields_to_others() -> None:
    with closing(PasswordHashPool(CHEAPEST, apart=True)) as hashing:
        hashing.hash_many([PASSWORD] * 16)
        processes = [process.pid for process in _begun(hashing)]
        assert 1 <= len(processes) <= len(os.sched_getaffinity(0))
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in processes} == {19}
        assert os.getpriority(os.PRIO_PROCESS, 0) < 19
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)


def test_a_process_that_hashes_stops_with_its_server_and_not_before() -> None:
    with closing(PasswordHashPool(CHEAPEST, apart=True)) as hashing:
        hashing.hash_many([PASSWORD])
        begun = _begun(hashing)
        for process in begun:
            os.kill(process.pid, signal.SIGTERM)
        assert hashing.hash_many([PASSWORD] * 16)
        assert begun
        assert all(process.is_alive for process in begun)


def test_what_a_process_that_died_was_asked_is_done_all_the_same() -> None:
    with closing(PasswordHashPool(CHEAPEST, apart=True)) as hashing:
        (stored,) = hashing.hash_many([PASSWORD])
        died = _begun(hashing)
        for process in died:
            os.kill(process.pid, signal.SIGKILL)
            process._process.wait()
        assert all(hashing.verify(stored, PASSWORD) for _ in range(8))
        assert any(process.is_alive for process in _begun(hashing))
        assert not any(process.is_alive for process in died)


def test_those_whom_a_process_that_died_had_are_checked_all_the_same() -> None:
    calls = []
    with closing(PasswordHashPool(CHEAPEST, apart=True)) as hashing:
        (stored,) = hashing.hash_many([PASSWORD])

        def take() -> list[tuple[str | None, str]]:
            calls.append(1)
            # It dies with the question in its pipe.
            os.kill(begun[0].pid, signal.SIGKILL)
            begun[0]._process.wait()
            return [(stored, PASSWORD), (stored, "wrong"), (None, PASSWORD), (stored, "\ud800")]

        begun = _begun(hashing)
        assert hashing.verify_many(take) == [True, False, False, False]
    assert calls == [1]


def test_nothing_is_asked_for_nobody(hashing: PasswordHashPool) -> None:
    assert hashing.verify_many(list) == []


def test_where_no_process_begins_the_server_hashes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError("too many processes")

    with closing(PasswordHashPool(CHEAPEST, apart=True)) as hashing:
        with monkeypatch.context() as patched:
            patched.setattr("anyscale.server.core.hashing.worker_pool.HashWorker", refuse)
            (stored,) = hashing.hash_many([PASSWORD])
            assert hashing.verify(stored, PASSWORD)
        assert all(hashing.verify(stored, PASSWORD) for _ in range(4))
        assert _begun(hashing)


def test_a_process_that_died_is_no_hindrance_to_closing() -> None:
    hashing = PasswordHashPool(CHEAPEST, apart=True)
    hashing.hash_many([PASSWORD] * 8)
    for process in _begun(hashing):
        os.kill(process.pid, signal.SIGKILL)
    hashing.close()


def test_closing_lets_what_was_begun_finish_and_leaves_no_process() -> None:
    hashing = PasswordHashPool(Profile(memory_kib=19456, passes=20), apart=True)
    stored = hashing.hash(PASSWORD)
    (process,) = _begun(hashing)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(hashing.verify, stored, PASSWORD)
        wait_until(lambda: not _begun(hashing))
        hashing.close()
        assert answer.result(timeout=1)
    assert not process.is_alive
    assert not _begun(hashing)


def test_no_more_processes_begin_than_are_asked_at_once() -> None:
    with closing(PasswordHashPool(CHEAPEST, apart=True)) as hashing:
        stored = hashing.hash(PASSWORD)
        assert all(hashing.verify(stored, PASSWORD) for _ in range(8))
        assert len(_begun(hashing)) == 1


def test_a_process_that_hashes_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    script = (
        "from anyscale.server.core.hashing.pool import CHEAPEST, PasswordHashPool\n"
        "import time\n"
        "hashing = PasswordHashPool(CHEAPEST, apart=True)\n"
        "hashing.hash_many(['correct horse'])\n"
        "print(hashing._processes.begun()[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as server:
        assert server.stdout
        pid = int(server.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        server.kill()
    wait_until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    # A process that ended may wait a while for init to note it.
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return False


def test_what_is_asked_of_a_process_shows_no_password() -> None:
    for asked in (
        HashJob([PASSWORD]),
        VerifyJob([(None, PASSWORD.encode())]),
        CheckJob([PASSWORD], [()], 8),
    ):
        assert PASSWORD not in repr(asked)


def test_closing_ends_the_threads() -> None:
    hashing = PasswordHashPool(CHEAPEST)
    hashing.hash_many([PASSWORD])
    threads = list(hashing._pool._threads)
    hashing.close()
    assert not any(thread.is_alive() for thread in threads)
    PasswordHashPool(CHEAPEST).close()


def test_a_password_that_cannot_be_hashed_stops_the_others(hashing: PasswordHashPool) -> None:
    with pytest.raises(UnicodeEncodeError):
        hashing.hash_many(["\ud800", *[PASSWORD] * 2_000])
    assert hashing.computed < 2_000


def test_a_process_that_has_nothing_to_do_sleeps_after_a_moment() -> None:
    with closing(HashWorker(CHEAPEST)) as process:
        process.ask(HashJob([PASSWORD]))
        assert process.answer(HashJob([PASSWORD]))
        stat = Path(f"/proc/{process.pid}/stat")
        wait_until(lambda: stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "S")


def test_a_process_stays_awake_until_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, asks = os.pipe()
    with os.fdopen(asked, "rb") as stdin, os.fdopen(asks, "wb") as pipe:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("anyscale.server.core.hashing.worker._AWAKE", 0.2)
        begun = time.monotonic()
        _stay_awake()
        assert time.monotonic() - begun >= 0.2
        pipe.write(b"a question")
        pipe.flush()
        begun = time.monotonic()
        _stay_awake()
        assert time.monotonic() - begun < 0.2
