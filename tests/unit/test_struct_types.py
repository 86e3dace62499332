"""Threads may be the first to use a struct, although msgspec then ends the process."""

import subprocess
import sys

import pytest

USE_AT_ONCE = """
import sys
from threading import Barrier, Thread
from typing import Literal
from msgspec import Struct, convert

def defined(**fields):
    return type(Struct)("One", (Struct,), {"__annotations__": fields, "__module__": "anyscale"})

def new():
    return defined(inner=defined(kind=Literal["a", "b"]), number=int)

def use(struct, begin):
    begin.wait()
    convert([{"inner": {"kind": "a"}, "number": 1}], list[struct])

sys.setswitchinterval(1e-6)
structs = [new() for _ in range(300)]
PREPARE
for struct in structs:
    begin = Barrier(4)
    threads = [Thread(target=use, args=(struct, begin)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("done")
"""

#: each thread that creates its first client does so
EXAMINE_AT_ONCE = """
from anyscale.domain.struct_types import examine_structs
def examine(begin, structs):
    begin.wait()
    examine_structs()
    for struct in structs:
        convert([{"inner": {"kind": "a"}, "number": 1}], list[struct])

for _ in range(20):
    structs = [new() for _ in range(100)]
    begin = Barrier(4)
    threads = [Thread(target=examine, args=(begin, structs)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""

EXAMINE = "from anyscale.domain.struct_types import examine_structs; examine_structs()"

OPEN_CONTROL_PLANE = """
from pathlib import Path
from tempfile import TemporaryDirectory
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
with TemporaryDirectory() as folder:
    ControlPlane(Settings(database=Path(folder, "anyscale.db"))).close()
"""

CONNECT = """
from anyscale.transport.http.retrying_client import RetryingClient
RetryingClient("http://127.0.0.1:9", "mrt_secret", 1, print).close()
"""


@pytest.mark.parametrize(
    "prepare",
    [EXAMINE, OPEN_CONTROL_PLANE, CONNECT, EXAMINE_AT_ONCE],
    ids=["itself", "control plane", "client", "at once"],
)
def test_threads_may_be_the_first_to_use_a_struct(prepare: str) -> None:
    source = USE_AT_ONCE.replace("PREPARE", prepare)
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (0, b"done\n"), result.stderr.decode()


#: a file that each reader accepts, or refuses as a whole
READ = dict.fromkeys(["keycloak", "django", "ldif", "jsonl", "csv"], b"[]") | {
    "yaml": b"create_users: [{name: Ann, email: ann@example.com}]"
}


@pytest.mark.parametrize("file_format", READ)
def test_the_structs_that_a_reader_decodes_are_examined_before_it_reads(file_format: str) -> None:
    source = f"""
import io
from anyscale.domain import struct_types
from anyscale.domain.validation import Policy
from anyscale.users_file import UsersFile
list(UsersFile(io.BytesIO({READ[file_format]!r}), "x", {file_format!r}).reading(Policy()))
before = len(struct_types._examined)
struct_types.examine_structs()
assert len(struct_types._examined) == before
"""
    subprocess.run([sys.executable, "-c", source], check=True)
