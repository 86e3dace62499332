"""Mail by the commands: links that a server sends, what is due, and stopping it."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.mail.relays import SENDER, TestRelay, running_relay
from tests.support.mail.silent_relay import SilentRelay
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import wait_until

ADDRESS = "https://accounts.example.com"

USERS = """create_users:
- {name: Jane, email: jane@example.com}
- {name: Joe, email: joe@example.com}
- {name: Ann, email: ann@example.com, password: correct-donkey-battery}
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[TestRelay]:
    with running_relay() as relay:
        yield relay


def settings(port: int, per_minute: int) -> dict[str, str]:
    return {
        "ANYSCALE_PUBLIC_URL": ADDRESS,
        "ANYSCALE_SMTP_HOST": "127.0.0.1",
        "ANYSCALE_SMTP_PORT": str(port),
        "ANYSCALE_SMTP_TLS": "none",
        "ANYSCALE_MAIL_FROM": SENDER,
        "ANYSCALE_MAIL_PER_MINUTE": str(per_minute),
    }


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users.yaml"
    file.write_text(USERS, encoding="utf-8")
    return file


def connect(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())


def test_a_server_mails_links_to_the_users_of_a_file(
    relay: TestRelay,
    database: str,
    tmp_path: Path,
    users: Path,
    anyscale: RunAnyscale,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ServerProcess(database, tmp_path, settings=settings(relay.port, 6_000)) as server:
        connect(server, monkeypatch)
        created = anyscale("user", "batch-create", "-f", users, "--mail-links")
        assert created.returncode == 0, created.stderr
        assert "The server mails 2 links, which takes less than a minute" in created.stderr
        relay.wait_for(2)
        assert sorted(mail.recipients[0][:3] for mail in relay.received) == ["jan", "joe"]

        one = anyscale("user", "set-password-link", "joe@example.com", "--mail")
        assert "The server mails 1 link." in one.stderr
        assert one.stdout == ""
        relay.wait_for(3)
        many = anyscale("user", "set-password-link", "--without-credentials", "--mail")
        assert many.returncode == 0, many.stderr
        relay.wait_for(5)
        sent = [0]

        def is_noted() -> bool:
            rows = json.loads(anyscale("mail", "list", "-o", "json").stdout)
            sent[:] = [row["sent"] for row in rows]
            return not any(row["due"] for row in rows)

        wait_until(is_noted)
        assert sent == [2, 2]
        # No secret is in the log of the server.
        log = server.log.read_text(encoding="utf-8")
        assert not any(mail.code in log for mail in relay.received)
        relay.on_recipient = lambda _: "550 no such user"
        anyscale("user", "set-password-link", "-f", users, "--mail")
        wait_until(lambda: "550" in anyscale("mail", "list", "--failed").stdout)
        failed = json.loads(anyscale("mail", "list", "--failed", "-o", "json").stdout)
        assert {mail["error"] for mail in failed} == {"550 no such user"}
        assert server.stop() == 0


def test_mails_are_listed_while_they_are_due_and_can_be_stopped(
    database: str,
    tmp_path: Path,
    users: Path,
    anyscale: RunAnyscale,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        closing(SilentRelay(2)) as silent,
        ServerProcess(database, tmp_path, settings=settings(silent.port, 1)) as server,
    ):
        connect(server, monkeypatch)
        created = anyscale("user", "batch-create", "-f", users, "--mail-links")
        assert "The server mails 2 links, which takes 2 min" in created.stderr
        assert silent.is_silent.wait(30)
        [row] = json.loads(anyscale("mail", "list", "-o", "json").stdout)
        assert (row["state"], row["due"], row["sent"]) == ("sending", 2, 0)
        assert "2 min" in anyscale("mail", "list").stdout

        stopped = anyscale("mail", "stop", row["to"])
        assert f"Stopped: {row['id']}." in stopped.stderr
        assert "It was stopped before." in anyscale("mail", "stop", row["id"]).stderr
        for which in ("bat_none", ""):
            unknown = anyscale("mail", "stop", which)
            assert unknown.returncode == 1
            assert f"no mailing of {which!r}: `anyscale mail list` shows" in unknown.stderr
        # A relay that hangs delays neither requests nor the end of the server.
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "command",
    [
        ("user", "batch-create", "-f", "{users}", "--mail-links"),
        ("user", "batch-create", "-f", "{users}", "--mail-links", "--dry-run"),
        ("user", "set-password-link", "jane@example.com", "--mail"),
        ("user", "set-password-link", "-f", "{users}", "--mail"),
        ("user", "set-password-link", "--without-credentials", "--mail"),
        ("mail", "list"),
        ("mail", "stop", "bat_none"),
    ],
    ids=lambda command: "-".join(word.strip("-") for word in command if "{" not in word),
)
def test_an_embedded_control_plane_refuses_mail_before_any_work(
    anyscale: RunAnyscale, users: Path, data: Path, command: tuple[str, ...]
) -> None:
    done = anyscale(*(word.format(users=users) for word in command))
    assert done.returncode == 1
    assert "error: mail needs a server" in done.stderr
    assert not data.exists()


def test_a_server_without_a_relay_refuses_mail_before_any_work(
    server: ServerProcess, users: Path, anyscale: RunAnyscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(server, monkeypatch)
    done = anyscale("user", "batch-create", "-f", users, "--mail-links")
    assert (done.returncode, "ANYSCALE_SMTP_HOST" in done.stderr) == (1, True)
    assert json.loads(anyscale("batch", "list", "-o", "json").stdout) == []


def test_the_server_sends_or_the_caller_does(anyscale: RunAnyscale, tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    done = anyscale("user", "set-password-link", "--batch", "b", "--mail", "--output-file", file)
    assert (done.returncode, "leave out --output-file" in done.stderr) == (2, True)
