"""The fork server imports this, so that click has read command lines before.

Python rewrites the code that runs for the first times, and each command would copy its pages.
"""

import click

from anyscale.cli.root import root


def _read(words: list[str]) -> click.Context:
    command: click.Command = root
    context = command.make_context("anyscale", list(words))
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found
        assert name
        command = found
        context = command.make_context(name, list(words), parent=context)
    return context


for words in (["user", "list"], ["batch", "list", "-o", "json"], ["user", "get", "a@b.io"]) * 4:
    _read(words).get_help()
