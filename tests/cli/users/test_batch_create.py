"""`anyscale user batch-create`, from the command line to the created users."""

import json
import os
import re
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ROOT
from tests.support.users import checked_users
from tests.support.users_files import write_flow_users_file, write_users_file

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

USERS = ROOT / "examples" / "users.yaml"


def test_two_users_are_created_and_listed(anyscale: RunAnyscale) -> None:
    result = anyscale("user", "batch-create", "--users-file", USERS)

    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert re.search(r"\(anyscale \+\d+\.\ds\) 2 users created\.\n", result.stderr)
    listed = json.loads(anyscale("user", "list", "-o", "json").stdout)
    assert [user["email"] for user in listed] == ["test1@anyscale.com", "test2@anyscale.com"]


def test_a_batch_has_the_name_of_its_file_or_the_label_of_the_command(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    files = [
        write_users_file(tmp_path / f"{at} \x07.yaml", 1, 0, prefix=str(at)) for at in range(3)
    ]
    anyscale("user", "batch-create", "-f", files[0])
    anyscale("user", "batch-create", "-f", files[1], "--label", "New staff")
    anyscale("user", "batch-create", "-f", "-", stdin=files[2].read_text())
    refused = anyscale("user", "batch-create", "-f", files[2], "--label", "two\nlines")

    batches = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    shown = anyscale("batch", "show", batches[1]["batch_id"]).stdout
    undo = anyscale("batch", "undo", batches[1]["batch_id"], "--dry-run")

    assert [batch["label"] for batch in batches] == [None, "New staff", "0 .yaml"]
    assert "label: New staff" in shown.splitlines()
    assert "created this batch from New staff at" in undo.stderr
    assert refused.returncode == 2
    assert "--label: a label has at most 200 visible characters, without blanks" in refused.stderr


def test_the_same_file_a_second_time_is_refused_by_line_and_column(
    anyscale: RunAnyscale, data: Path
) -> None:
    anyscale("user", "batch-create", "-f", USERS)

    result = anyscale("user", "batch-create", "-f", USERS)

    assert result.returncode == 1
    assert f"{USERS}:3:10: create_users[0].email: 'test1@anyscale.com' has an account already" in (
        result.stderr
    )
    assert not list((data / "runs").iterdir())


@pytest.mark.parametrize("count", [2, 1_200])
def test_a_dry_run_after_a_lost_result_says_what_the_run_would_say(
    count: int, anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(count))
    command = ("user", "batch-create", "-f", users)
    lost = anyscale(*command, "-o", "json", stdout="/dev/full")
    assert lost.returncode == 3, lost.stderr
    before = sorted((data / "runs").iterdir())

    dry = anyscale(*command, "--dry-run")
    other_options = anyscale(*command, "--dry-run", "--if-exists", "skip")
    same = sorted((data / "runs").iterdir()) == before
    run = anyscale(*command)

    assert [dry.returncode, run.returncode] == [0, 0], dry.stderr
    assert same
    for result in (dry, run):
        assert f"{count:,} users created." in result.stderr
        assert "They were already created by batch" in result.stderr
    assert f"{count:,} users would be skipped: they exist." in other_options.stderr
    assert anyscale(*command, "--dry-run").returncode == 1  # the run has ended


def test_reserved_emails_are_counted_and_waited_for_so_long_as_it_says(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    control_plane = ControlPlane(Settings.from_environment(os.environ, served=False))
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    control_plane.batches.reserve(
        OPERATOR, batch.batch_id, 0, checked_users(*(f"user{i}" for i in range(60)))
    )
    control_plane.close()
    users = write_users_file(tmp_path / "users.yaml", 60, 0)

    done = anyscale(
        "user", "batch-create", "-f", users, env={"ANYSCALE_RESERVATION_WAIT_SECONDS": "1"}
    )

    assert done.returncode == 1, done.stderr
    assert "Waiting at most 1 s for batch" in done.stderr
    lines = done.stderr.splitlines()
    counted = lines.index("60 of 60 emails are reserved by an unfinished batch:")
    assert (
        f"is reserved by the unfinished batch {batch.batch_id}, which local:test opened at "
        f"{batch.opened_at:%Y-%m-%d %H:%M:%S} UTC: let it end, or drop it"
    ) in lines[counted + 1]
    assert lines[counted - 1].endswith(
        f"UTC. Ask local:test, or drop it by `anyscale batch drop {batch.batch_id}`."
    )
    assert lines[-2] == "... and 10 problems more: `-o json` gives the first 10,000"


def test_a_lost_result_of_standard_input_is_not_said_to_continue(anyscale: RunAnyscale) -> None:
    command = ("user", "batch-create", "-f", "-", "-o", "json")
    text = USERS.read_text(encoding="utf-8")
    lost = anyscale(*command, stdin=text, stdout="/dev/full")
    assert lost.returncode == 3, lost.stderr
    assert lost.stderr.splitlines()[-1] == (
        "Run the same command again: it begins a new batch, or reports which users exist by now."
    )
    assert (
        "test1@anyscale.com' has an account already" in anyscale(*command[:-2], stdin=text).stderr
    )


def test_a_file_of_tabs_is_read_as_csv_by_its_name(anyscale: RunAnyscale, tmp_path: Path) -> None:
    path = tmp_path / "users.tsv"
    path.write_text("name\temail\nAnn\tann@example.com\n", encoding="utf-8")
    done = anyscale("user", "batch-create", "-f", path)
    assert "1 user created." in done.stderr


def test_an_empty_name_of_a_file_is_named(anyscale: RunAnyscale) -> None:
    done = anyscale("user", "batch-create", "-f", "")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: the name of the users file is empty",
    )


def test_a_file_that_was_created_before_is_summarized(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    users = write_users_file(tmp_path / "users.yaml", 60, 0)
    assert anyscale("user", "batch-create", "-f", users).returncode == 0
    done = anyscale("user", "batch-create", "-f", users)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "60 of 60 emails have an account:" in lines
    assert len([line for line in lines if "create_users[" in line]) == 3
    assert "... and 57 problems more: `-o json` gives the first 10,000" in lines
    assert lines[-1].startswith("Was this file created already? `anyscale user verify -f ")


def test_batches_are_listed_up_to_a_number(anyscale: RunAnyscale, tmp_path: Path) -> None:
    for prefix in ("a", "b", "c"):
        users = write_users_file(tmp_path / f"{prefix}.yaml", 1, 0, prefix=prefix)
        assert anyscale("user", "batch-create", "-f", users).returncode == 0
    newest = anyscale("batch", "list", "-o", "jsonl").stdout.splitlines()
    limited = anyscale("batch", "list", "--max-items", "2", "-o", "jsonl").stdout.splitlines()
    assert limited == newest[:2]


def test_the_table_of_users_fits_into_80_columns_without_the_id(anyscale: RunAnyscale) -> None:
    assert anyscale("user", "batch-create", "-f", USERS).returncode == 0
    narrow = anyscale("user", "list").stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert "usr_" not in narrow
    assert anyscale("user", "list", "--wide").stdout.count("usr_") == 2


def test_weak_hashes_need_an_option_and_the_exports_of_others_their_format(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file, digest = tmp_path / "people.txt", "{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a"
    text = "dn: uid=ann\nobjectClass: person\ncn: Ann\nmail: ann@example.com\nuserPassword: "
    file.write_text(f"{text}{digest}\n\ndn: cn=staff\nobjectClass: groupOfNames\n")
    command = ("user", "batch-create", "-f", file, "--format", "ldif")

    refused = anyscale(*command)
    created = anyscale(*command, "--accept-weak-hashes")
    verified = anyscale("user", "verify", "-f", file, "--format", "ldif")

    assert refused.returncode == 2
    assert ", password_hash: is a plain SHA1 digest" in refused.stderr
    assert "--accept-weak-hashes" in refused.stderr
    assert (created.returncode, verified.returncode) == (0, 0), created.stderr
    assert "Passed over as entries: groups (1)." in created.stderr
    assert digest not in refused.stderr + created.stderr + verified.stderr
