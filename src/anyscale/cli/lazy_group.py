"""A click group whose commands are imported when they run."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """A group that names and describes its commands without importing them.

    `lazy_commands` maps the name of each command to its place in the package, `module:attribute`,
    and to the first sentence of its help.
    """

    def __init__(
        self,
        name: str | None,
        package: str,
        lazy_commands: Mapping[str, tuple[str, str]],
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        self._package = package
        self._lazy_commands = lazy_commands

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._lazy_commands)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._lazy_commands:
            return None
        module, _, attribute = self._lazy_commands[name][0].partition(":")
        command = getattr(import_module(f"{self._package}.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy_commands.items()])
