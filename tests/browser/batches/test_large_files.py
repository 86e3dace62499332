"""Files of about 64 MiB: what a server refuses, and how many it has in memory at once."""

import json
import re
from http.client import HTTPConnection
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.batches.owners import (
    CREATED,
    Owner,
    Owners,
    check_and_create,
    new_batch,
    users_file,
)
from tests.browser.conftest import Visit
from tests.server.http.console.test_batches import MULTIPART, multipart
from tests.server.http.pages.requests import BROWSER
from tests.support.waiting import wait_until

MIB = 1 << 20


def large_file(tag: str, mebibytes: int = 59) -> bytes:
    """A large file: a user, and spaces, which take little time to read."""
    document = json.dumps({"create_users": [{"name": tag, "email": f"{tag}@batch.example"}]})
    return document.encode().ljust(mebibytes * MIB)


def send_all_but_the_last_octet(
    owner: Owner, tag: str, data: bytes, path: str = "/console/batches"
) -> HTTPConnection:
    """Begin to create, or check, the users of a file; it stays in the server's memory."""
    connection = owner.client.connect()
    body = multipart(data, f"{tag}.json", key=tag)
    connection.putrequest("POST", path)
    cookies = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
    headers = {"Cookie": cookies, "Content-Type": MULTIPART}
    for name, value in (BROWSER | headers | {"Content-Length": str(len(body))}).items():
        connection.putheader(name, value)
    connection.endheaders(body[:-1])
    return connection


class Memory:
    """How much the memory of a process has grown at most, in MiB."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        # Reset the peak, as of proc_pid_clear_refs(5).
        (self._folder / "clear_refs").write_text("5", encoding="ascii")
        self.at_start: float = self._peak()

    def grown(self) -> float:
        return self._peak() - self.at_start

    def _peak(self) -> float:
        status = (self._folder / "status").read_text(encoding="utf-8")
        (kibibytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kibibytes) / 1024


@pytest.mark.parametrize("script", [True, False])
def test_a_file_of_65_mib_is_refused_in_words_and_not_read(
    visit: Visit, owners: Owners, tmp_path: Path, script: bool
) -> None:
    file = tmp_path / "huge.csv"
    with file.open("wb") as huge:
        huge.truncate(65 * MIB)
    memory = Memory(owners.server.pid)
    page = visit("/console/batches/new", storage_state=owners.state, java_script_enabled=script)
    page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    command = f"Use the command for it: anyscale user batch-create -f FILE --host {owners.site.url}"
    expect(page.get_by_text(command).first).to_be_visible()
    assert memory.grown() < 8


def test_the_memory_of_a_file_is_given_back_also_after_a_larger_one(owners: Owners) -> None:
    idle = Memory(owners.server.pid).at_start
    for tag, mebibytes in (("larger", 24), ("smaller", 20)):
        data = large_file(tag, mebibytes)
        connection = send_all_but_the_last_octet(owners.owner, tag, data, "/console/batches/check")
        connection.send(b"\n")
        assert connection.getresponse().status == 200
        connection.close()
        wait_until(lambda: Memory(owners.server.pid).at_start < idle + 10)


def test_two_large_files_and_a_small_one_are_created_and_a_third_large_one_waits_with_words(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    memory = Memory(owners.server.pid)
    tags = ("one", "two", "three")
    # Each by another owner, since an owner has one large file at a time.
    connections = [
        send_all_but_the_last_octet(owners.add(), tag, large_file(tag)) for tag in tags[:2]
    ]
    file = tmp_path / "three.json"
    file.write_bytes(large_file("three"))
    third = new_batch(visit, owners.state, file)
    third.clock.install()
    third.get_by_role("button", name="Check the file").click()
    third.clock.run_for(3_000)
    words = third.get_by_text("If it works on other large files, it waits up to 30 seconds").first
    expect(words).to_be_visible()
    small = new_batch(visit, owners.state, users_file(tmp_path, "small", 2))
    check_and_create(small)
    expect(small.get_by_role("heading", name=CREATED)).to_be_focused()
    expect(words).to_be_visible()
    assert memory.grown() < 150, "the third file is in memory too"
    for connection in connections:
        connection.send(b"\n")
        assert connection.getresponse().status == 303
        connection.close()
    create = third.get_by_role("button", name=re.compile("^Create 1 account"))
    create.click()
    expect(third.get_by_role("heading", name=CREATED)).to_be_focused()
    emails = [f"{tag}@batch.example" for tag in (*tags, "small1")]
    assert all(owners.control_plane.users.find(emails))
