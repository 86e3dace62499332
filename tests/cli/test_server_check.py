"""`anyscale server check`: its output and its exit status."""

import json
import os
import signal
import socket
import time

import pytest
from tests.support.commands.running import RunAnyscale, start_command
from tests.support.commands.terminal import on_a_terminal
from tests.support.mail.faulty_relay import faulty_relay
from tests.support.mail.mail_site import relay_environment

from anyscale.server.check.run import CHECKS
from anyscale.server.store.postgres import pool as postgres_pool


def test_each_check_is_one_line_and_a_failed_one_ends_with_status_1(anyscale: RunAnyscale) -> None:
    result = anyscale("server", "check", "--all")

    lines = result.stdout.splitlines()
    assert sorted(line[11:].split()[0] for line in lines) == sorted(CHECKS)
    assert any(line.startswith("fail       database.reachable") for line in lines)
    assert (
        "creates one. To fix it: create it or make it available, or name another one"
        in result.stdout
    )
    assert result.stderr.rstrip().endswith("not tried")
    assert result.returncode == 1


def test_a_line_ends_a_question_without_a_period(anyscale: RunAnyscale) -> None:
    result = anyscale("server", "check", env={"ANYSCALE_PUBLIC_ULR": "x"})

    assert "did you mean ANYSCALE_PUBLIC_URL? To fix it: correct the name" in result.stdout


def test_what_is_wrong_comes_first_and_what_was_not_tried_last_in_few_lines(
    anyscale: RunAnyscale,
) -> None:
    result = anyscale("server", "check")

    lines = result.stdout.splitlines()
    statuses = [line[:9].rstrip() for line in lines]
    wrong = [status for status in statuses if status in ("warn", "fail")]
    assert statuses == wrong + ["ok"] * statuses.count("ok") + ["not tried"] * statuses.count(
        "not tried"
    )
    assert {"warn", "fail"} == set(wrong)
    provider = [line for line in lines if " provider." in line]
    number = sum(check.startswith("provider.") for check in CHECKS)
    assert [line.split("  ")[-1] for line in provider] == [
        f"{number} checks: ANYSCALE_SSO_ISSUER is not set"
    ]
    assert len(lines) <= 22


def test_warnings_alone_end_with_status_0(anyscale: RunAnyscale) -> None:
    assert anyscale("server", "create-token", "--name", "jane").returncode == 0

    result = anyscale("server", "check")

    assert result.stdout.startswith("warn  ")
    assert "\nfail  " not in result.stdout
    assert result.returncode == 0


def test_json_has_every_check_with_the_same_fields_and_a_mail_is_sent_on_request(
    anyscale: RunAnyscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_relay() as relay:
        for name, value in relay_environment(relay.port, "none").items():
            monkeypatch.setenv(name, value)
        done = anyscale("server", "check", "-o", "json", "--mail", "ops@example.com")
    records = json.loads(done.stdout)

    assert [mail.recipient for mail in relay.accepted] == ["ops@example.com"]
    assert [record["check"] for record in records] == list(CHECKS)
    for record in records:
        assert list(record) == ["check", "status", "looked_at", "found", "fix"]
        assert record["status"] in ("ok", "warn", "fail", "not tried")


def test_all_wrong_settings_are_reported_at_the_start_of_the_server(anyscale: RunAnyscale) -> None:
    wrong = {"ANYSCALE_LINK_DAYS": "0", "ANYSCALE_SSO_ONLY": "x", "ANYSCALE_SSO_CLIENT_ID": "y"}

    result = anyscale("server", "start", env=wrong)

    assert result.returncode == 2
    assert result.stderr.count("error: ANYSCALE_") == 3


def test_a_line_on_a_terminal_continues_below_its_text() -> None:
    status, shown = on_a_terminal("server", "check", env={"ANYSCALE_DATA_DIR": "/nowhere"})
    lines = shown.splitlines()

    assert status == 1
    assert max(map(len, lines)) <= 100
    assert any(line.startswith(" " * 20) for line in lines)


def test_ctrl_c_ends_a_check_that_waits_for_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        port = silent.getsockname()[1]
        url = f"postgresql://jane@127.0.0.1:{port}/roll"
        command = start_command(
            *("server", "check"),
            env={"ANYSCALE_DATABASE_URL": url},
            constants={
                "anyscale.server.check.network.SECONDS": 120,
                "anyscale.server.store.postgres.pool._CONNECT": postgres_pool._CONNECT
                | {"connect_timeout": 120},
            },
        )
        connection, _ = silent.accept()
        started = time.monotonic()
        os.kill(command.pid, signal.SIGINT)
        result = command.finish()
        connection.close()

    assert result.returncode == 130
    assert result.stderr == "interrupted\n"
    assert time.monotonic() - started < 60
