"""A network of its own for processes that listen on every address of a machine."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Brings loopback up (SIOCSIFFLAGS of netdevice(7), with IFF_UP), without the package iproute2.
_HOLD = """
import fcntl, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def network_namespace() -> Iterator[Sequence[str]]:
    """Create a network namespace with only loopback, until the block ends.

    Give the start of a command that runs another one in it. It is empty, for the network of this
    process, where a user or a container may not create one.
    """
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", _HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        assert holder.stdout
        is_created = holder.stdout.readline() == "ready\n"
        yield ["nsenter", "--net", f"--target={holder.pid}"] if is_created else []
