"""OpenLDAP's server of Debian, unpacked and not installed, with the entries of an LDIF file."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.directory import PACKAGES, library_path, run_unpacked
from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until

_CONFIGURATION = """
modulepath {packages}/usr/lib/ldap
moduleload back_mdb
moduleload argon2
include {packages}/etc/ldap/schema/core.schema
include {packages}/etc/ldap/schema/cosine.schema
include {packages}/etc/ldap/schema/inetorgperson.schema
database mdb
suffix "ou=people"
directory {folder}
"""

#: RFC 4511, 4.1.9
_SUCCESS, _INVALID_CREDENTIALS = 0, 49


class Directory:
    """A directory that users bind to."""

    def __init__(self, port: int) -> None:
        self._port = port

    def lets_in(self, name: str, password: str) -> bool:
        """Whether a simple bind with a password succeeds (RFC 4511, 4.2)."""
        bind = _octets(
            0x60, b"\x02\x01\x03", _octets(0x04, name.encode()), _octets(0x80, password.encode())
        )
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.sendall(_octets(0x30, b"\x02\x01\x01", bind))
            answer = connection.recv(4096)
        # The message and its number, then the response with the result first.
        code = answer.partition(b"\x0a\x01")[2][0]
        assert code in (_SUCCESS, _INVALID_CREDENTIALS)
        return code == _SUCCESS


def _octets(tag: int, *parts: bytes) -> bytes:
    """Encode by the basic encoding rules (X.690, 8.1): tag, length and content."""
    content = b"".join(parts)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


@contextmanager
def directory(ldif: Path, folder: Path) -> Iterator[Directory]:
    """Load a file by `slapadd`, and serve it until the block ends."""
    configuration = folder / "slapd.conf"
    (folder / "entries").mkdir()
    text = _CONFIGURATION.format(packages=PACKAGES, folder=folder / "entries")
    configuration.write_text(text, encoding="utf-8")
    run_unpacked("usr/sbin/slapadd", "-f", configuration, "-l", ldif)
    port = free_port()
    # With -d it stays in the foreground.
    arguments = ["-d", "0", "-f", str(configuration), "-h", f"ldap://127.0.0.1:{port}"]
    with subprocess.Popen(
        [PACKAGES / "usr/sbin/slapd", *arguments], env={"LD_LIBRARY_PATH": library_path()}
    ) as process:
        try:
            wait_until(lambda: process.poll() is not None or is_listening(port))
            yield Directory(port)
        finally:
            process.terminate()
