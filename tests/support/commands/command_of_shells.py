"""`anyscale` for the shells of tests: a small program for which the fork server runs the command.

It passes its arguments, environment, folder and streams on, then signals, and ends as the command
does. It needs about 10 ms of processor time, and the fork 20 ms, where an interpreter that imports
the command needs 300 ms.
"""

import marshal
import multiprocessing
import os
import select
import socket
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.commands.command_process import fork_server, output_folder, run_main
from tests.support.paths import BIN

#: It imports only what an interpreter has built in, or finds at once. A signal waits until the
#: command has started.
_PROGRAM = """#!{python} -SEI
import _signal, _socket, marshal, os, sys

SIGNALS = _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM
_signal.pthread_sigmask(_signal.SIG_BLOCK, SIGNALS)
forks = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
forks.connect({address!r})
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
request = marshal.dumps((sys.argv[1:], dict(os.environ), os.getcwd()))
forks.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
command = int(forks.recv(16))

def pass_on(number, _):
    try:
        os.kill(command, number)
    except ProcessLookupError:  # it has just ended
        pass

for number in SIGNALS:
    _signal.signal(number, pass_on)
_signal.pthread_sigmask(_signal.SIG_UNBLOCK, SIGNALS)
status = int(forks.recv(16))
if status < 0:
    if -status in SIGNALS:
        _signal.signal(-status, _signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


#: A completion gives up after 1.5 seconds, which it may need on a loaded machine.
_CONSTANTS: dict[str, object] = {"anyscale.cli.batch.id_completion._SECONDS": 60.0}


def path_of_shells() -> str:
    """Give a PATH on which `anyscale` is forked; the other programs are those of this Python."""
    return os.pathsep.join([str(_folder_of_program()), str(BIN), os.environ["PATH"]])


@cache
def _folder_of_program() -> Path:
    """Write the program, and start the process that forks for it until this one ends."""
    folder = output_folder() / "bin"
    folder.mkdir()
    address = str(output_folder() / "forks")
    program = folder / "anyscale"
    program.write_text(_PROGRAM.format(python=sys.executable, address=address), encoding="utf-8")
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as forks:
        forks.bind(address)
        forks.listen()
        fork_server.Process(target=_fork_commands, args=(forks,), daemon=True).start()
    return folder


def _fork_commands(forks: socket.socket) -> None:
    """Fork a command for each program that connects, and tell it its process id and its status."""
    tests = multiprocessing.parent_process()
    assert tests
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([tests.sentinel, forks.fileno(), *running], [], [])[0]:
            if ready == tests.sentinel:  # they have ended, or were killed
                return
            if ready == forks.fileno():
                program = forks.accept()[0]
                if not (process_id := os.fork()):
                    _run_for(program)
                    return
                running[os.pidfd_open(process_id)] = process_id, program
            else:
                process_id, program = running.pop(ready)
                os.close(ready)
                ended = os.waitpid(process_id, 0)[1]
                with program, suppress(BrokenPipeError):  # the program was killed
                    program.send(b"%d" % os.waitstatus_to_exitcode(ended))


def _run_for(program: socket.socket) -> None:
    """Run the command that a program requests, in the forked process."""
    request, streams, *_ = socket.recv_fds(program, 1 << 20, 3)
    program.send(b"%d" % os.getpid())
    arguments, environment, folder = marshal.loads(request)
    run_main(arguments, environment, folder, streams, False, False, _CONSTANTS)
