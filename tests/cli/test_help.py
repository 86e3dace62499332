"""The list of commands in the help of a group."""

import os
import pty
import re
import subprocess
import termios

import click
import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ANYSCALE, ROOT
from tests.support.programs import program

from anyscale.cli.lazy_group import LazyGroup
from anyscale.cli.root import root

CONTEXT = click.Context(root)


def command_of(group: LazyGroup, name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command
    return command


def groups() -> dict[str, LazyGroup]:
    commands = {name: command_of(root, name) for name in root.list_commands(click.Context(root))}
    return {"anyscale": root} | {
        name: command for name, command in commands.items() if isinstance(command, LazyGroup)
    }


@pytest.mark.parametrize("name", groups())
def test_a_group_lists_each_command_with_the_first_sentence_of_its_help(name: str) -> None:
    group = groups()[name]
    formatter = click.HelpFormatter(width=300)

    group.format_commands(click.Context(group), formatter)

    assert [line.split(None, 1) for line in formatter.getvalue().splitlines()[1:]] == [
        [command, command_of(group, command).get_short_help_str(300)]
        for command in group.list_commands(click.Context(group))
    ]


@pytest.mark.parametrize("name", groups())
def test_no_line_of_a_help_has_more_than_80_columns(name: str) -> None:
    group = groups()[name]
    names = group.list_commands(click.Context(group))
    commands = [group, *(command_of(group, command) for command in names)]
    # The usage is longer for a group below another one, and click wraps it.
    helps = [one.get_help(click.Context(one, terminal_width=80)) for one in commands]

    lines = [line for text in helps for line in text.splitlines()]

    assert [line for line in lines if len(line) > 80] == []


def test_the_help_of_create_token_says_what_each_role_may_do(anyscale: RunAnyscale) -> None:
    text = " ".join(anyscale("server", "create-token", "--help").stdout.split())
    assert "--role [owner|reader]" in text
    assert "a reader's changes nothing and sees no secret" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_the_command(shell: str, anyscale: RunAnyscale) -> None:
    result = anyscale("completion", shell)

    assert result.returncode == 0
    assert f"_ANYSCALE_COMPLETE={shell}_complete" in result.stdout


def test_options_are_completed(anyscale: RunAnyscale) -> None:
    words = {"COMP_WORDS": "anyscale user batch-create --us", "COMP_CWORD": "3"}

    result = anyscale(env={"_ANYSCALE_COMPLETE": "bash_complete"} | words)

    assert result.stdout == "plain,--users-file\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["user"],
        ["batch"],
        ["user", "batch-create"],
        ["user", "list"],
        ["user", "get"],
        ["batch", "list"],
        ["batch", "show"],
        ["batch", "drop"],
        ["completion"],
    ],
)
def test_every_command_has_a_help_with_an_example(words: list[str], anyscale: RunAnyscale) -> None:
    result = anyscale(*words, "--help")

    assert result.returncode == 0
    assert result.stderr == ""
    assert len(words) == 1 or f"  anyscale {' '.join(words)}".rstrip() in result.stdout


@pytest.mark.parametrize("name", groups())
def test_each_help_names_the_page_that_treats_its_command(name: str) -> None:
    group = groups()[name]
    prefix = "anyscale" if name == "anyscale" else f"anyscale {name}"
    for one in group.list_commands(CONTEXT):
        command = command_of(group, one)
        page = re.match(r"Documentation: (\S+\.md) ", command.epilog or "")
        assert page, one
        text = (ROOT / page[1]).read_text(encoding="utf-8").replace("musterroll-admin", "anyscale")
        # It is run there, or a paragraph, an item or a row begins with it.
        treated = re.compile(rf"^ *(?:\$ |(?:[-|] )?`)?{prefix} {one}\b", re.MULTILINE)
        assert treated.search(text), f"{one}: {page[1]}"


def test_the_manual_page_has_every_group_and_command_of_users() -> None:
    page = (ROOT / "deploy" / "man" / "anyscale.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert all(f"anyscale {name}" in page for name in root.list_commands(CONTEXT))
    users = command_of(root, "user")
    assert isinstance(users, LazyGroup)
    assert all(name in page for name in users.list_commands(CONTEXT))
    checked = subprocess.run(
        [program("man"), "--warnings", "-l", "-E", "UTF-8", ROOT / "deploy" / "man" / "anyscale.1"],
        capture_output=True,
        text=True,
        env={**os.environ, "MANROFFOPT": "-ww", "MANPAGER": "cat"},
        check=True,
    )
    assert "EXIT STATUS" in checked.stdout
    assert checked.stderr == ""


#: a command line, its exit status, and words of what it writes
LINES = [
    (["user", "--help"], 0, "batch-create"),
    (["user", "verify", "--apple"], 2, "No such option '--apple'."),
    (["user", "lsit"], 2, "No such command 'lsit'. Did you mean 'list'?"),
    (["user", "list", "--serch", "x"], 2, "No such option '--serch'. Did you mean '--search'?"),
]


@pytest.mark.parametrize("columns", [0, 1, 8, 20, 80])
def test_a_command_line_is_answered_on_a_terminal_of_any_width(columns: int) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    try:
        for arguments, status, words in LINES:
            done = subprocess.Popen(
                [ANYSCALE, *arguments], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
            )
            assert done.wait() == status, arguments
            shown = os.read(ours, 65536).decode()
            assert "Traceback" not in shown
            assert words in " ".join(re.sub(r"\x1b\[[\d;]*m", "", shown).split())
    finally:
        os.close(ours)
        os.close(theirs)
