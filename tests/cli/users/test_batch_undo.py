"""`anyscale batch undo`, with the embedded control plane and with servers."""

import json
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import RunAnyscale, list_emails, start_command
from tests.support.commands.terminal import on_a_terminal
from tests.support.databases.stored_data import execute_sql, query_database
from tests.support.faults.faulty_proxy import Fault, FaultyProxy, lose
from tests.support.faults.pausing import Pause
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_users_file
from tests.support.waiting import wait_until

from anyscale.cli.root import root
from anyscale.server.store.sqlite.store import SqliteStore

LIST = "`anyscale batch list` shows the batches"

#: accounts that one transaction of an undo looks at
SLICE = 500


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return write_users_file(tmp_path / "users.yaml", 3, 0)


def create(anyscale: RunAnyscale, users: Path) -> str:
    """Create the users of a file; return the id of their batch."""
    done = anyscale("user", "batch-create", "-f", users)
    assert done.returncode == 0, done.stderr
    (batch, *_) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    batch_id: str = batch["batch_id"]
    return batch_id


@pytest.mark.parametrize("output", ["text", "json"])
def test_the_last_line_of_a_run_undoes_its_batch(
    anyscale: RunAnyscale, users: Path, output: str
) -> None:
    create(anyscale, users)
    other = write_users_file(users.with_name("other.yaml"), 2, 0, prefix="other")
    created = anyscale("user", "batch-create", "-f", other, "-o", output)

    line = created.stderr.splitlines()[-1]
    match = re.fullmatch(r"This is batch (bat_\w+): `anyscale (.+)` deletes its accounts\.", line)
    assert match, created.stderr
    assert match[2] == f"batch undo {match[1]}"
    undone = anyscale(*match[2].split(), "--yes")
    assert undone.returncode == 0, undone.stderr
    assert all("other" not in email for email in list_emails(anyscale))
    assert len(list_emails(anyscale)) == 3


def test_a_run_that_creates_nobody_names_no_batch(anyscale: RunAnyscale, users: Path) -> None:
    dry = anyscale("user", "batch-create", "-f", users, "--dry-run")
    create(anyscale, users)
    skipped = anyscale("user", "batch-create", "-f", users, "--if-exists", "skip")
    for done in (dry, skipped):
        assert done.returncode == 0, done.stderr
        assert "This is batch" not in done.stderr


@pytest.mark.usefixtures("control_plane")
def test_the_accounts_of_a_batch_are_deleted_and_can_be_created_again(
    anyscale: RunAnyscale, users: Path
) -> None:
    batch = create(anyscale, users)
    emails = list_emails(anyscale)

    tried = anyscale("batch", "undo", batch, "--dry-run", "-o", "json")
    assert list_emails(anyscale) == emails
    done = anyscale("batch", "undo", batch, "--yes", "-o", "json")

    assert done.returncode == tried.returncode == 0, done.stderr
    assert "3 accounts would be deleted." in tried.stderr
    assert "3 accounts deleted." in done.stderr
    expected = {
        "batch_id": batch,
        "removed": 3,
        "kept": [],
        "suspended": 0,
        "removed_by_others": 0,
        "links_ended": 0,
    }
    assert json.loads(done.stdout) == json.loads(tried.stdout) == expected
    assert list_emails(anyscale) == []
    again = anyscale("batch", "undo", batch, "--yes")
    assert (again.returncode, again.stdout) == (0, "")
    assert "was undone before" not in done.stderr
    assert "The batch was undone before.\n" in again.stderr
    assert "0 accounts deleted." in again.stderr
    create(anyscale, users)
    assert list_emails(anyscale) == emails


@pytest.mark.parametrize("words", [["undo"], ["undo", "--dry-run", "-o", "json"], ["drop"]])
def test_undo_and_drop_say_first_which_control_plane_they_use(
    anyscale: RunAnyscale, configured_server: ServerProcess, words: list[str]
) -> None:
    done = anyscale("batch", *words, "bat_none")
    first, *_ = done.stderr.splitlines()
    assert first.partition(") ")[2] == f"Using the control plane at {configured_server.url}"
    assert done.stdout == ""


def answer(batch: str, typed: bytes) -> tuple[int, str]:
    """Undo a batch on a terminal; give the exit status, and what the terminal shows."""
    return on_a_terminal("batch", "undo", batch, typed=typed, when=b"Type yes to continue:")


def test_an_undo_says_on_a_terminal_what_it_would_delete_and_asks(
    anyscale: RunAnyscale, users: Path
) -> None:
    batch = create(anyscale, users)
    emails = list_emails(anyscale)
    assert anyscale("user", "set-role", emails[0], "owner").returncode == 0
    (row,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)

    status, shown = answer(batch, b"yes\n")

    assert (status, "2 accounts deleted. 1 account kept." in shown) == (0, True), shown
    at = row["opened_at"][:19].replace("T", " ")
    opened = f"{row['opened_by']} created this batch from users.yaml at {at}"
    assert (
        f"{opened} UTC. 2 accounts would be deleted. 1 account would be kept. Accounts that were "
        "corrected or suspended since are deleted too. This cannot be undone."
    ) in shown
    assert list_emails(anyscale) == emails[:1]


def test_an_undo_deletes_nobody_unless_the_answer_is_yes(
    anyscale: RunAnyscale, users: Path
) -> None:
    batch = create(anyscale, users)

    for typed in (b"no\n", b"y\n", b"YES\n", b"\n", b"\x04"):
        status, shown = answer(batch, typed)
        assert (status, "error: that is not yes: nobody was deleted" in shown) == (2, True), shown
    status, shown = answer(batch, b"\x03")
    assert (status, "interrupted" in shown) == (130, True), shown
    assert len(list_emails(anyscale)) == 3
    status, shown = answer(batch, b" yes \n")
    assert (status, "3 accounts deleted." in shown) == (0, True), shown


def test_an_undo_needs_yes_without_a_terminal(anyscale: RunAnyscale, users: Path) -> None:
    batch = create(anyscale, users)
    refused = anyscale("batch", "undo", batch)
    assert (refused.returncode, len(list_emails(anyscale))) == (2, 3)
    assert "use --yes to continue; nobody was deleted" in refused.stderr


@pytest.mark.parametrize(
    ("options", "count"), [(["--yes"], 0), (["--dry-run"], 3), (["--dry-run", "--force"], 3)]
)
def test_an_undo_with_yes_and_a_dry_run_do_not_ask(
    anyscale: RunAnyscale, users: Path, options: list[str], count: int
) -> None:
    batch = create(anyscale, users)
    status, shown = on_a_terminal("batch", "undo", batch, *options)
    assert (status, "Type yes" in shown) == (0, False), shown
    assert len(list_emails(anyscale)) == count


@pytest.mark.usefixtures("control_plane")
def test_a_dry_run_says_who_created_the_batch_and_how_many_accounts_are_suspended(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    batch = create(anyscale, write_users_file(tmp_path / "users.yaml", 4, 0))
    first, second, third, _ = list_emails(anyscale)
    for words in (
        ["set-role", first, "owner"],
        ["set-role", second, "owner"],
        ["suspend", first],
        ["suspend", third],
    ):
        assert anyscale("user", *words).returncode == 0
    shown = json.loads(anyscale("batch", "show", batch, "-o", "json").stdout)

    tried = anyscale("batch", "undo", batch, "--dry-run", "-o", "json")

    origin, found = (line.partition(") ")[2] for line in tried.stderr.splitlines()[-3:-1])
    at = shown["opened_at"][:19].replace("T", " ")
    assert origin == f"{shown['opened_by']} created this batch from users.yaml at {at} UTC."
    assert found == (
        "2 accounts would be deleted (1 suspended). 2 accounts would be kept. "
        "Accounts that were corrected or suspended since are deleted too."
    )
    assert json.loads(tried.stdout)["suspended"] == 1
    done = anyscale("batch", "undo", batch, "--yes")
    assert ") 2 accounts deleted (1 suspended). 2 accounts kept.\n" in done.stderr
    again = anyscale("batch", "undo", batch, "--dry-run").stderr
    assert "0 accounts would be deleted. 2 accounts would be kept.\n" in again


def test_an_undo_that_would_delete_nothing_does_not_ask(anyscale: RunAnyscale, users: Path) -> None:
    batch = create(anyscale, users)
    assert anyscale("batch", "undo", batch, "--yes").returncode == 0
    status, shown = on_a_terminal("batch", "undo", batch)
    assert (status, "Type yes" in shown) == (0, False), shown


@pytest.mark.usefixtures("control_plane")
def test_accounts_that_were_used_are_kept_and_by_force_only_the_last_owner(
    anyscale: RunAnyscale, users: Path
) -> None:
    batch = create(anyscale, users)
    first, second, _ = list_emails(anyscale)
    for email, role in ((first, "owner"), (second, "owner"), (second, "collaborator")):
        assert anyscale("user", "set-role", email, role).returncode == 0

    done = anyscale("batch", "undo", batch, "--yes")
    forced = anyscale("batch", "undo", batch, "--yes", "--force")

    assert done.returncode == forced.returncode == 0, done.stderr
    assert "1 account deleted. 2 accounts kept." in done.stderr
    header, *kept = done.stdout.splitlines()
    assert header.split() == ["USER", "ID", "EMAIL", "REASON"]
    assert [line.split()[1:] for line in kept] == [[first, "used"], [second, "used"]]
    assert "1 account deleted. 1 account kept." in forced.stderr
    assert forced.stdout.split()[-2:] == [first, "last_owner"]
    used = "used: its user has signed in, or an owner has changed its role; `--force` deletes"
    assert (used in done.stderr, used in forced.stderr) == (True, False)
    last_owner = "last_owner: it is the last owner: make another user an owner first."
    assert (last_owner in done.stderr, last_owner in forced.stderr) == (False, True)
    assert list_emails(anyscale) == [first]
    assert "intact" in anyscale("audit", "verify").stdout


def test_the_links_that_deleted_owners_created_for_others_are_counted(
    anyscale: RunAnyscale, users: Path, data: Path
) -> None:
    batch = create(anyscale, users)
    owner, *_ = list_emails(anyscale)
    others = write_users_file(users.with_name("other.yaml"), 2, 0, prefix="other")
    assert anyscale("user", "batch-create", "-f", others).returncode == 0
    assert anyscale("user", "set-role", owner, "owner").returncode == 0
    emails = [email for email in list_emails(anyscale) if "other" in email]
    assert anyscale("user", "set-role", emails[0], "owner").returncode == 0
    env = {"ANYSCALE_PUBLIC_URL": "https://accounts.example.com"}
    for email in emails:
        assert anyscale("user", "set-password-link", email, env=env).returncode == 0
    with closing(SqliteStore(data / "anyscale.db")) as store, store.write() as tx:
        # An owner creates links in the console.
        execute_sql(
            tx,
            "update links set created_by = (select 'user:' || user_id from users where email = ?)",
            (owner,),
        )

    tried = anyscale("batch", "undo", batch, "--force", "--dry-run")
    done = anyscale("batch", "undo", batch, "--force", "--yes", "-o", "json")

    links = "2 unused links that deleted owners created for others"
    assert f"3 accounts would be deleted. {links} would stop working." in tried.stderr
    assert f"3 accounts deleted. {links} stopped working." in done.stderr
    assert json.loads(done.stdout)["links_ended"] == 2


@pytest.mark.usefixtures("control_plane")
def test_a_batch_that_does_not_exist_is_refused(anyscale: RunAnyscale, users: Path) -> None:
    create(anyscale, users)
    # The second one is a variable that is not set, the last one part of a path.
    names = {"bat_none": "bat_none", "": "''", "../bat_x": "../bat_x"}
    for words in (["undo"], ["undo", "--dry-run"], ["show"], ["drop"]):
        for name, shown in names.items():
            done = anyscale("batch", *words, name)
            assert (done.returncode, done.stdout) == (1, ""), (words, name)
            assert f"error: there is no batch {shown}: {LIST}\n" in done.stderr, (words, name)


def test_undoing_creates_no_control_plane(anyscale: RunAnyscale, tmp_path: Path) -> None:
    done = anyscale("batch", "undo", "bat_none")
    assert done.returncode == 1
    assert "there is no batch bat_none" in done.stderr
    assert not list(tmp_path.rglob("anyscale.db"))


def test_an_undo_that_was_killed_goes_on(anyscale: RunAnyscale, tmp_path: Path, data: Path) -> None:
    batch = create(anyscale, write_users_file(tmp_path / "users.yaml", SLICE + 7, 0))

    left = kill_undo(anyscale, batch, data)
    (unfinished,) = json.loads(anyscale("batch", "list", "--open", "-o", "json").stdout)
    assert (unfinished["batch_id"], unfinished["state"]) == (batch, "undoing")

    done = anyscale("batch", "undo", batch, "--yes", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["removed"] == left
    assert json.loads(anyscale("batch", "list", "--open", "-o", "json").stdout) == []
    assert list_emails(anyscale) == []
    assert state(anyscale, batch) == "undone"


def test_a_run_whose_emails_are_those_of_an_unfinished_undo_says_so(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    users = write_users_file(tmp_path / "users.yaml", SLICE + 7, 0)
    batch = create(anyscale, users)
    left = kill_undo(anyscale, batch, data)
    hint = (
        f"batch {batch} is being undone, and still has accounts: "
        f"`anyscale batch undo {batch}` continues"
    )

    for options in ([], ["--dry-run"]):
        refused = anyscale("user", "batch-create", "-f", users, *options)
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-2:] == [
            f"error: {left} problems; nobody was created.",
            hint,
        ]
    for options in (["--dry-run"], []):
        skipped = anyscale("user", "batch-create", "-f", users, "--if-exists", "skip", *options)
        assert skipped.returncode == 0, skipped.stderr
        assert skipped.stderr.splitlines()[-1] == hint
    new = write_users_file(tmp_path / "new.yaml", 3, 0, prefix="new")
    assert hint not in anyscale("user", "batch-create", "-f", new).stderr
    assert anyscale("batch", "undo", batch, "--yes").returncode == 0
    again = anyscale("user", "batch-create", "-f", users).stderr.splitlines()
    assert again[-1] == "`--if-exists skip` skips the users who have an account."


def begin_undo(batch: str, data: Path) -> CommandProcess:
    """Undo a batch in a process that waits, in its first call, after the first slice.

    It continues when the file `go-on` exists in the data directory.
    """
    undo = "anyscale.server.core.batches.undo"
    pause = Pause(data / "go-on")
    constants = {f"{undo}.pause_between_slices": pause, f"{undo}._SECONDS_A_CALL": 600}
    running = start_command("batch", "undo", batch, "--yes", constants=constants)
    wait_until(lambda: query_database(data, "select state from batches") == [("undoing",)])
    return running


def kill_undo(anyscale: RunAnyscale, batch: str, data: Path) -> int:
    """Begin to undo a batch, kill the command, and count the accounts that are left."""
    before = len(list_emails(anyscale))
    running = begin_undo(batch, data)
    running.kill()
    assert running.wait() == -9
    left = len(list_emails(anyscale))
    assert left == before - SLICE
    assert state(anyscale, batch) == "undoing"
    return left


def test_an_undo_that_is_interrupted_in_its_first_call_says_what_may_be_deleted(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    batch = create(anyscale, write_users_file(tmp_path / "users.yaml", SLICE + 7, 0))
    running = begin_undo(batch, data)
    running.send_signal(signal.SIGINT)
    done = running.finish()
    assert done.returncode == 130
    assert "accounts may have been deleted; run" in done.stderr


def test_of_two_undos_at_once_each_counts_its_own_accounts_and_those_of_the_other(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    batch = create(anyscale, write_users_file(tmp_path / "users.yaml", SLICE + 7, 0))
    first = begin_undo(batch, data)
    second = anyscale("batch", "undo", batch, "--yes")
    (data / "go-on").touch()
    done = first.finish()

    assert (done.returncode, second.returncode) == (0, 0), done.stderr
    assert second.stderr.splitlines()[-1].endswith(") 7 accounts deleted.")
    assert done.stderr.splitlines()[-1].endswith(
        f") {SLICE} accounts deleted; other calls deleted 7 since this one began."
    )


def test_an_interrupted_undo_says_how_many_accounts_it_has_deleted(
    anyscale: RunAnyscale, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    batch = create(anyscale, users)
    # The command runs in the process of the tests, whose signals stay as they are.
    for name in ("handle_signals", "ignore_signals", "exit_on_signals"):
        monkeypatch.setattr(f"anyscale.cli.root.{name}", lambda: None)
    monkeypatch.setattr("anyscale.cli.batch.undo.show_progress", interrupt)
    monkeypatch.setattr("anyscale.cli.exit_status._State.explanation", "")

    result = CliRunner().invoke(root, ["batch", "undo", batch, "--yes"])

    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "interrupted: at least 3 accounts deleted so far; "
        "run the same command again to continue where it stopped"
    )


def state(anyscale: RunAnyscale, batch_id: str) -> str:
    shown = json.loads(anyscale("batch", "show", batch_id, "-o", "json").stdout)
    text: str = shown["state"]
    return text


def test_an_undo_prints_counts_of_accounts_in_one_way(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    batch = create(anyscale, write_users_file(tmp_path / "users.yaml", 1_200, 0))
    status, shown = on_a_terminal(
        *("batch", "undo", batch), typed=b"yes\n", when=b"Type yes to continue:"
    )
    assert status == 0, shown
    assert "1,200 accounts would be deleted." in shown
    assert "1,200 accounts deleted." in shown
    assert "1200" not in shown


def test_a_server_that_is_down_deletes_nothing_and_says_so(
    anyscale: RunAnyscale, configured_server: ServerProcess, users: Path
) -> None:
    batch = create(anyscale, users)
    configured_server.stop()
    done = anyscale("batch", "undo", batch, "--yes")
    assert done.returncode == 1
    assert "is the control plane running?" in done.stderr


def test_the_last_call_of_an_undo_is_the_one_that_finds_no_more_accounts(
    anyscale: RunAnyscale, configured_server: ServerProcess, users: Path
) -> None:
    """The undo is complete then, whatever fails afterwards."""
    batch = create(anyscale, users)
    with FaultyProxy([configured_server.port], lambda _: None) as proxy:
        done = anyscale("batch", "undo", batch, "--yes", "--host", proxy.url)
        calls = [exchange.call.partition(batch)[2] for exchange in proxy.finished_history()]
    assert done.returncode == 0, done.stderr
    assert calls == ["", "/undo"]
    assert state(anyscale, batch) == "undone"


@pytest.mark.parametrize(
    ("lost", "counts"), [("/undo", (3, 0)), ("", (1, 2))], ids=["undo", "batch show"]
)
def test_an_undo_counts_accounts_of_others_as_its_own_only_if_its_own_response_was_lost(
    anyscale: RunAnyscale,
    configured_server: ServerProcess,
    users: Path,
    lost: str,
    counts: tuple[int, int],
) -> None:
    batch = create(anyscale, users)
    undos, still_to_lose = list[str](), [lost]

    def plan(call: str) -> Fault | None:
        path = call.partition(batch)[2]
        if path == "/undo":
            undos.append(path)
        if undos == [path]:  # others delete two of the three accounts before the first undo
            for email in list_emails(anyscale)[:2]:
                assert anyscale("user", "delete", email, "--yes").returncode == 0
        if undos and path in still_to_lose:
            still_to_lose.remove(path)
            return lose
        return None

    with FaultyProxy([configured_server.port], plan) as proxy:
        done = anyscale("batch", "undo", batch, "--yes", "--host", proxy.url, "-o", "json")
    assert done.returncode == 0, done.stderr
    undone = json.loads(done.stdout)
    assert (undone["removed"], undone["removed_by_others"]) == counts


def test_an_undo_whose_outcome_is_not_known_is_unfinished(
    anyscale: RunAnyscale,
    configured_server: ServerProcess,
    users: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(client: socket.socket, _: bytes) -> bool:
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return False

    batch = create(anyscale, users)
    plan = {f"POST /v1/batches/{batch}/undo": refuse}.get
    with FaultyProxy([configured_server.port], plan) as proxy:
        tried = anyscale("batch", "undo", batch, "--dry-run", "--host", proxy.url)
        done = anyscale("batch", "undo", batch, "--yes", "--host", proxy.url)
    assert (tried.returncode, tried.stdout) == (1, "")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the undo is unfinished" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Run the same command again: it continues")
    again = anyscale("batch", "undo", batch, "--yes")
    assert (again.returncode, state(anyscale, batch)) == (0, "undone")


def test_a_run_whose_result_was_lost_begins_anew_after_the_undo(
    anyscale: RunAnyscale, users: Path
) -> None:
    lost = anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")
    assert lost.returncode == 3, lost.stderr
    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    assert anyscale("batch", "undo", batch["batch_id"], "--yes").returncode == 0

    tried = anyscale("user", "batch-create", "-f", users, "--dry-run")
    done = anyscale("user", "batch-create", "-f", users)

    assert "3 users would be created." in tried.stderr
    assert "was undone: a new one begins." in done.stderr
    assert "3 users created." in done.stderr


@pytest.mark.parametrize("output", ["json", "text"])
def test_an_undo_whose_result_cannot_be_written_says_what_was_done(
    anyscale: RunAnyscale, users: Path, output: str
) -> None:
    batch = create(anyscale, users)
    user_id = json.loads(anyscale("user", "list", "-o", "jsonl").stdout.splitlines()[0])["user_id"]
    assert anyscale("user", "set-role", user_id, "owner").returncode == 0  # it is kept

    done = anyscale("batch", "undo", batch, "--yes", "-o", output, stdout="/dev/full")

    assert done.returncode == 3
    assert "2 accounts deleted. 1 account kept.\n" in done.stderr
    assert "error: standard output could not be written" in done.stderr
