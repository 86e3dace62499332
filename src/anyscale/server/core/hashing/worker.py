"""A worker process that hashes for the server, at a lower priority than the server's own.

A thread of low priority in the server's own process would hold Python's lock while it waits for a
core, and every other request would wait with it.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any

from msgspec import msgpack

from anyscale.errors import HashingUnavailable
from anyscale.server.core.hashing.argon2id import Hasher, Profile
from anyscale.server.core.hashing.jobs import NICENESS, RESPONSES, Job, execute

_LENGTH_OCTETS = 4

#: Beginnings of the variables that a worker gets: those of Python and of the dynamic linker. The
#: database's URL, which may contain a password, is not needed there.
_VARIABLES = ("PYTHON", "LD_")


class HashWorker:
    """The server's end of a worker process. One thread at a time uses it.

    Passwords go through a pipe, which no other process can read. The worker ends when the pipe
    does: with the server, however that ends.

    Args:
        profile: the parameters of new hashes.
        niceness: by how much its priority is lower than that of this process.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, profile: Profile, niceness: int = NICENESS) -> None:
        # -P: Python imports no module from the folder where the server was started.
        command = [sys.executable, "-P", "-m", __name__, str(niceness)]
        self._process = subprocess.Popen(  # noqa: S603 - the command is this module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)},
            process_group=0,  # Ctrl-C goes only to the server, which finishes its requests
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        try:
            _send(self._stdin, msgpack.encode(profile))
        except OSError:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, job: Job) -> Any:
        """Have the process do a job, and return the result.

        After any error but `HashingUnavailable` the pipe may hold the response to this job: the
        worker must not get another one.

        Raises:
            OSError, EOFError: the process has ended.
            HashingUnavailable: the process has not enough memory.
        """
        _send(self._stdin, msgpack.encode(job))
        response = msgpack.decode(_receive(self._stdout), type=RESPONSES[type(job)])
        if isinstance(response, str):
            raise HashingUnavailable(response)
        return response

    def kill_if_stopped(self) -> None:
        """Kill the process if a signal has stopped it (SIGSTOP): it would answer no more."""
        with suppress(ChildProcessError):  # it has ended, and was waited for
            _, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if status and os.WIFSTOPPED(status):
                self._process.kill()

    def close(self) -> None:
        """Let the process finish its job, and wait until it has ended."""
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # the process has ended with a job still in the buffer
                pipe.close()
        self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self.close()


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(len(message).to_bytes(_LENGTH_OCTETS) + message)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    length = int.from_bytes(pipe.read(_LENGTH_OCTETS))
    if not length or len(message := pipe.read(length)) < length:
        raise EOFError
    return message


def _respond(hasher: Hasher, job: Job) -> bytes:
    try:
        return msgpack.encode(execute(hasher, job))
    except HashingUnavailable as error:
        return msgpack.encode(str(error))


def main() -> None:
    """Do the jobs that come through standard input, until it ends."""
    # A service manager sends SIGTERM to every process of a service: the server ends this one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(int(sys.argv[1]))
    hasher = Hasher(msgpack.decode(_receive(sys.stdin.buffer), type=Profile))
    while True:
        job = msgpack.decode(_receive(sys.stdin.buffer), type=Job)
        _send(sys.stdout.buffer, _respond(hasher, job))


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the pipes are closed: nothing is left to be flushed
