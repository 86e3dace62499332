"""A process that hashes for a server, at a low priority, so that the server itself never waits.

A thread of low priority in the server's own process would hold Python's lock now and then while it
waits for a core, and whoever asks the server for anything waits with it.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any, Self

from msgspec import Struct, msgpack

from anyscale.server.core.hashing.argon2id import Hasher, Profile
from anyscale.user.passwords import Fault, password_faults

__all__ = [
    "NICENESS",
    "CheckJob",
    "HashJob",
    "HashWorker",
    "Job",
    "VerifyJob",
    "answered",
]

_LENGTH = 4

#: The lowest priority that still gets a share of a core that others keep busy.
NICENESS = 19

#: seconds for which the next question is waited for awake, at that priority
_AWAKE = 0.005

_ANY = "surrogatepass"


class HashJob(Struct, frozen=True, tag=True):
    """Passwords in their normalized form, to be hashed one after another: as `Hasher.hash`."""

    passwords: list[str]

    def __repr__(self) -> str:
        return "ToHash(...)"


class CheckJob(Struct, frozen=True, tag=True):
    """Passwords of which is asked what is wrong with them: as `password_faults`."""

    passwords: list[str]
    own: list[tuple[str | None, ...]]
    minimum: int

    def __repr__(self) -> str:
        return "ToCheck(...)"


class VerifyJob(Struct, frozen=True, tag=True):
    """Hashes and passwords of which is asked whether they belong together: as `Hasher.verify`."""

    #: hashes, if there are any, and passwords in UTF-8, where a lone surrogate has its octets too
    pairs: list[tuple[str | None, bytes]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str | None, str]]) -> Self:
        """Ask of passwords as they were typed."""
        return cls([(known, password.encode(errors=_ANY)) for known, password in pairs])

    def __repr__(self) -> str:
        return "ToVerify(...)"


Job = HashJob | CheckJob | VerifyJob

_ANSWERS: dict[type[Job], Any] = {
    HashJob: list[str],
    CheckJob: list[Fault | None],
    VerifyJob: list[bool],
}


def answered(hasher: Hasher, asked: Job) -> list[Any]:
    """Answer a question in this thread: in order, and for each password."""
    if isinstance(asked, HashJob):
        return hasher.hash(asked.passwords)
    if isinstance(asked, VerifyJob):
        return hasher.verify_many(
            [(known, text.decode(errors=_ANY)) for known, text in asked.pairs]
        )
    return password_faults(asked.passwords, asked.own, asked.minimum)


class HashWorker:
    """The process, as its server sees it. One thread at a time asks it.

    Passwords reach it through a pipe: no other process sees them, and it ends when the server does,
    however that ends.

    Args:
        profile: the parameters of hashes.
    """

    def __init__(self, profile: Profile) -> None:
        # -P: a module in the folder where the server was started is not taken for one of ours.
        command = [sys.executable, "-P", "-m", __name__]
        self._process = subprocess.Popen(  # noqa: S603 - this module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is the server's: it finishes what it began
            env=_in_huge_pages(),
        )
        try:
            _send(self._stdin, msgpack.encode(profile))
        except OSError:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, question: Job) -> None:
        """Ask; nobody else may until the answer is there.

        Raises:
            OSError: the process is gone.
        """
        _send(self._stdin, msgpack.encode(question))

    def answer(self, question: Job) -> list[Any]:
        """Wait for the answer to what was asked: what `answered` gives.

        Raises:
            EOFError: the process is gone.
        """
        assert self._process.stdout
        return list(msgpack.decode(_received(self._process.stdout), type=_ANSWERS[type(question)]))

    def close(self) -> None:
        """Let it finish what it does, and end."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            with suppress(OSError):  # what is still to be written to one that is gone
                pipe.close()
        self._process.wait()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin
        return self._process.stdin


def _in_huge_pages() -> dict[str, str]:
    tunables = (os.environ.get("GLIBC_TUNABLES", ""), "glibc.malloc.hugetlb=1")
    return {**os.environ, "GLIBC_TUNABLES": ":".join(filter(None, tunables))}


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(len(message).to_bytes(_LENGTH) + message)
    pipe.flush()


def _received(pipe: IO[bytes]) -> bytes:
    length = int.from_bytes(pipe.read(_LENGTH))
    if not length or len(message := pipe.read(length)) < length:
        raise EOFError
    return message


def _stay_awake() -> None:
    """Look for the next question for a moment instead of sleeping until it comes.

    A process that has slept starts again with the same claim as everybody else: it may get a core
    before a server that has just run, which then waits for the next tick, 4 ms.
    """
    end = time.monotonic() + _AWAKE
    while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
        pass


def main() -> None:
    """Answer what is asked through standard input, until it ends."""
    # A service manager tells every process of a service to stop; this one stops with the server.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(NICENESS)
    hasher = Hasher(msgpack.decode(_received(sys.stdin.buffer), type=Profile))
    while True:
        _stay_awake()
        asked = msgpack.decode(_received(sys.stdin.buffer), type=Job)
        _send(sys.stdout.buffer, msgpack.encode(answered(hasher, asked)))


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # standard output may be closed: nothing is left to be written there
