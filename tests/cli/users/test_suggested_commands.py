"""The commands that messages suggest use the same file format and control plane when pasted."""

import itertools
import os
import re
import shlex
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale
from tests.support.servers.server_process import ServerProcess
from tests.support.users import checked_users

from anyscale.cli.user.resume_file import ResumeFile
from anyscale.config import resolve
from anyscale.transport import open_transport

ENTRIES = '{"name": "Ann", "email": "ann@example.com"}\n{"name": "Bob", "email": "b@example.com"}\n'

FORMAT = ("--format", "jsonl")


@pytest.fixture
def host(configured_server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The option for a server that the environment does not name."""
    monkeypatch.delenv("ANYSCALE_HOST")
    return ("--host", configured_server.url)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A users file whose name says nothing of its format."""
    path = tmp_path / "all users.txt"
    path.write_text(ENTRIES, encoding="utf-8")
    return str(path)


def suggested(result: CommandResult) -> list[str]:
    """Return the words of the only command in a message, as a shell splits them.

    The line of a problem has no command to be pasted.
    """
    lines = [line for line in result.stderr.splitlines() if "create_users[" not in line]
    (line,) = re.findall(r"`anyscale (.+?)`", "\n".join(lines))
    return shlex.split(line)


def test_a_file_that_was_created_before_is_compared_by_the_suggested_command(
    anyscale: RunAnyscale, host: tuple[str, str], file: str
) -> None:
    create = ("user", "batch-create", "-f", file, *FORMAT, *host)
    assert anyscale(*create).returncode == 0
    for options in ([], ["--if-exists", "skip"], ["--if-exists", "skip", "--dry-run"]):
        words = suggested(anyscale(*create, *options))
        assert words == ["user", "verify", "-f", file, *FORMAT, *host]
    compared = anyscale(*words)
    assert compared.returncode == 0, compared.stderr
    assert "2 users checked: 0 differences." in compared.stderr


def test_a_batch_is_undone_by_the_suggested_command(
    anyscale: RunAnyscale, host: tuple[str, str], file: str
) -> None:
    done = anyscale("user", "batch-create", "-f", file, *FORMAT, *host)
    (line,) = re.findall(r"This is batch .*: `anyscale (.+?)`", done.stderr)
    words = shlex.split(line)
    assert words[:2] == ["batch", "undo"]
    undone = anyscale(*words, "--yes")
    assert undone.returncode == 0, undone.stderr
    assert "2 accounts deleted." in undone.stderr


def test_other_suggested_commands_use_the_same_control_plane(
    anyscale: RunAnyscale, host: tuple[str, str], file: str
) -> None:
    create = ("user", "batch-create", "-f", file, *FORMAT, *host)
    assert anyscale(*create).returncode == 0
    for words, expected in (
        (["batch", "show", "bat_none"], ["batch", "list"]),
        (["user", "get", "--name", "A B"], ["user", "list", "--search", "A B"]),
    ):
        assert suggested(anyscale(*words, *host)) == [*expected, *host]


@pytest.mark.parametrize("name", ["ann", "-ann"])
def test_the_suggested_link_is_for_the_user_whatever_the_email_begins_with(
    name: str, anyscale: RunAnyscale, host: tuple[str, str], file: str
) -> None:
    Path(file).write_text(ENTRIES.replace("ann@", f"{name}@"), encoding="utf-8")
    assert anyscale("user", "batch-create", "-f", file, *FORMAT, *host).returncode == 0
    email = [f"{name}@example.com"] if name == "ann" else ["--", f"{name}@example.com"]
    words = suggested(anyscale("user", "update", "--no-sso", *host, *email))
    assert words == ["user", "set-password-link", *host, *email]
    linked = anyscale(*words)
    # It has understood the command and found the user.
    assert "ANYSCALE_PUBLIC_URL is not set" in linked.stderr


@pytest.mark.parametrize("text", ["-ann", "", " "])
@pytest.mark.parametrize("command", [["user", "suspend", "--"], ["user", "get", "--name"]])
def test_only_a_search_that_works_is_suggested(
    text: str, command: list[str], anyscale: RunAnyscale, host: tuple[str, str]
) -> None:
    refused = anyscale(*command[:2], *host, *command[2:], text)
    assert refused.returncode != 0
    if text.strip():
        found = anyscale(*suggested(refused))
        assert found.returncode == 0, found.stderr
    else:
        assert "`anyscale" not in refused.stderr


def test_a_batch_that_has_reserved_emails_is_dropped_by_the_suggested_command(
    anyscale: RunAnyscale, host: tuple[str, str], file: str
) -> None:
    with closing(open_transport(resolve(host[1], os.environ["ANYSCALE_CLI_TOKEN"]))) as other:
        batch = other.batches.open("key", "fail")
        other.batches.reserve(batch.batch_id, 0, checked_users("ann"))
        words = suggested(anyscale("user", "batch-create", "-f", file, *FORMAT, *host, "--dry-run"))
        assert words == ["batch", "drop", *host, batch.batch_id]
        assert anyscale(*words, "--yes").returncode == 0
        assert other.batches.show(batch.batch_id).state == "dropped"


def test_the_entry_of_a_dropped_batch_is_shown_by_the_suggested_command(
    anyscale: RunAnyscale, host: tuple[str, str], file: str, data: Path
) -> None:
    stat = Path(file).stat()
    with closing(open_transport(resolve(host[1], os.environ["ANYSCALE_CLI_TOKEN"]))) as other:
        with closing(ResumeFile(data / "runs", other.where, file)) as previous:
            batch = other.batches.open(
                previous.start_new((stat.st_size, stat.st_mtime_ns), "fail"), "fail"
            )
            previous.store_batch(batch.batch_id)
        other.batches.drop(batch.batch_id)
    created = anyscale("user", "batch-create", "-f", file, *FORMAT, *host)
    assert created.returncode == 0, created.stderr
    (line,) = re.findall(r"`anyscale (.+?)` shows who dropped it", created.stderr)
    shown = anyscale(*shlex.split(line), "-o", "jsonl")
    entries = [entry for entry in shown.stdout.splitlines() if "batch.dropped" in entry]
    assert [batch.batch_id in entry for entry in entries] == [True]


def links_suggested(result: CommandResult) -> tuple[str, list[str]]:
    """Return the line about users who cannot sign in, and the command on the line after it."""
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    ((line, following),) = [
        pair for pair in itertools.pairwise(lines) if "cannot sign in yet" in pair[0]
    ]
    assert line.startswith("(anyscale +")
    return line, shlex.split(re.findall(r"`anyscale (.+?)`", following)[-1])


def test_users_of_a_server_who_cannot_sign_in_get_links_by_the_suggested_command(
    anyscale: RunAnyscale, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {"ANYSCALE_PUBLIC_URL": "https://accounts.example.com"}
    with ServerProcess(f"sqlite:///{tmp_path}/served.db", tmp_path, settings=address) as server:
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        host = ("--host", server.url)
        created = anyscale("user", "batch-create", "-f", file, *FORMAT, *host)
        line, words = links_suggested(created)
        assert re.search(r"s\) 2 users cannot sign in yet:$", line)
        linked = anyscale(*words)
    assert linked.returncode == 0, linked.stderr
    assert (tmp_path / "work" / "links.csv").read_text(encoding="utf-8").count("\n") == 3


def test_users_of_an_embedded_control_plane_get_links_by_the_suggested_commands(
    anyscale: RunAnyscale, tmp_path: Path, file: str
) -> None:
    line, words = links_suggested(anyscale("user", "batch-create", "-f", file, *FORMAT))
    (variable,) = re.findall(r"run `export (\S+)` first", line)
    refused = anyscale(*words)
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: ANYSCALE_PUBLIC_URL is not set: run `export "
        "ANYSCALE_PUBLIC_URL=https://accounts.example.com` first, with the address of your server\n"
    )
    linked = anyscale(*words, env=dict([variable.split("=", 1)]))
    assert linked.returncode == 0, linked.stderr
    assert (tmp_path / "work" / "links.csv").exists()


def test_messages_to_the_operator_name_the_command_and_the_file_of_the_operator(
    anyscale: RunAnyscale, file: str
) -> None:
    admin = {"MUSTERROLL_ADMIN": "1"}
    created = anyscale("user", "batch-create", "-f", file, *FORMAT, env=admin)
    assert created.returncode == 0, created.stderr
    assert re.findall(r"`(.+?) bat_", created.stderr) == [
        "musterroll-admin user set-password-link --batch",
        "musterroll-admin batch undo",
    ]
    assert "ANYSCALE_PUBLIC_URL is not set: set it in /etc/musterroll/environment" in created.stderr
    assert "`anyscale " not in created.stderr
    again = anyscale("user", "batch-create", "-f", file, *FORMAT, env=admin)
    assert "`musterroll-admin user verify -f " in again.stderr


def test_nothing_is_said_of_signing_in_if_every_user_can(anyscale: RunAnyscale) -> None:
    user = '{"name": "Ann", "email": "ann@example.com", "password": "correct-donkey-battery"}'
    done = anyscale("user", "batch-create", "-f", "-", *FORMAT, stdin=user)
    assert done.returncode == 0, done.stderr
    assert "sign in" not in done.stderr
    dry = '{"name": "Bob", "email": "bob@example.com"}'
    assert (
        "sign in"
        not in anyscale("user", "batch-create", "-f", "-", *FORMAT, "--dry-run", stdin=dry).stderr
    )
