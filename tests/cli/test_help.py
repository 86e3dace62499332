"""The list of commands in the help of a group."""

import click
import pytest
from tests.support.commands.running import RunAnyscale

from anyscale.cli.lazy_group import LazyGroup
from anyscale.cli.root import root


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


def test_the_help_of_create_token_says_what_a_collaborator_can_do(anyscale: RunAnyscale) -> None:
    text = " ".join(anyscale("server", "create-token", "--help").stdout.split())
    assert (
        "Owners can make every call; a collaborator's token can make none in this version." in text
    )


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
