"""The SDK in a notebook: a real kernel runs the cells."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

#: Run cells in a kernel; print the messages of each.
RUN_CELLS = """
import json, sys
from jupyter_client.manager import run_kernel

with run_kernel(kernel_name="python3") as client:
    for cell in json.loads(sys.argv[1]):
        messages = []
        reply = client.execute_interactive(cell, timeout=120, output_hook=messages.append)
        messages.append(reply)
        print(json.dumps([[m["msg_type"], m["content"]] for m in messages], default=str))
"""

USERS = """
import anyscale
from anyscale.user.models import AdminCreateUser
def users(tag):
    return [AdminCreateUser("Jane", f"{tag}{i}@x.io", f"kx-{i}-quvam-dirolt") for i in range(20)]
"""

CELLS = [
    USERS,
    "created = anyscale.user.admin_batch_create(users('a')); len(created)",
    "anyscale.user.admin_batch_create(users('b'), progress=False).batch_id[:4]",
    "get_ipython().run_line_magic('pinfo', 'AdminCreateUser')",
    "anyscale.user.admin_batch_create(users('c')[:2], progress=False)",
    "_ = list(anyscale.batch.list(open_only=True)); anyscale.user.get('x')",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[str, dict[str, Any]]]]:
    """The messages of each cell."""
    home = str(tmp_path_factory.mktemp("home"))
    folders = dict.fromkeys(("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"), home)
    run = subprocess.run(
        [sys.executable, "-c", RUN_CELLS, json.dumps(CELLS)],
        capture_output=True,
        text=True,
        env=os.environ | folders,
        cwd=home,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def shown_by(messages: list[tuple[str, dict[str, Any]]], *kinds: str) -> list[str]:
    return [
        re.sub(r"\x1b\[[0-9;]*m", "", content["data"]["text/plain"]).rstrip()
        for kind, content in messages
        if kind in kinds
    ]


def test_a_long_call_draws_a_bar_in_one_output_and_removes_it(
    outputs: list[list[tuple[str, dict[str, Any]]]],
) -> None:
    messages = outputs[1]

    assert shown_by(messages, "display_data") == [""]
    frames = shown_by(messages, "update_display_data")
    assert re.fullmatch("Hashing ━+ +0%", frames[0])
    assert frames[-1] == ""
    assert shown_by(messages, "execute_result") == ["20"]
    assert not [content for kind, content in messages if kind in ("stream", "error")]


def test_progress_can_be_switched_off(outputs: list[list[tuple[str, dict[str, Any]]]]) -> None:
    kinds = {kind for kind, _ in outputs[2]}
    assert not kinds & {"display_data", "update_display_data", "stream", "error"}
    assert shown_by(outputs[2], "execute_result") == ["'bat_'"]


def test_a_question_mark_shows_the_fields_of_a_model(
    outputs: list[list[tuple[str, dict[str, Any]]]],
) -> None:
    [text] = [
        payload["data"]["text/plain"]
        for kind, content in outputs[3]
        if kind == "execute_reply"
        for payload in content["payload"]
    ]
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)

    assert "at most 256 characters" in text
    assert "password: str | None = None" in text


def test_the_result_of_a_batch_names_the_batch(
    outputs: list[list[tuple[str, dict[str, Any]]]],
) -> None:
    [shown] = shown_by(outputs[4], "execute_result")
    first, *users = shown.splitlines()
    assert re.fullmatch("# batch bat_[0-9a-f]+, skipped: 0", first)
    assert "email='c1@x.io'" in "".join(users)


def test_a_wrong_argument_names_its_keyword(
    outputs: list[list[tuple[str, dict[str, Any]]]],
) -> None:
    [error] = [content for kind, content in outputs[5] if kind == "error"]

    assert error["ename"] == "TypeError"
    assert error["evalue"] == "a positional argument too many: write get(email=...)"
