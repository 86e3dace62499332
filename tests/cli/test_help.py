"""The list of commands in the help of a group."""

import click
import pytest

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
