"""The type of options and arguments for a role."""

from collections.abc import Iterable
from typing import Any

import click

_OWNER = "Owners are the administrators: use owner."


class RoleChoice(click.Choice[str]):
    """A role, of users unless others are given; it says what other programs call an owner.

    `hints` are those for other words.
    """

    def __init__(self, roles: Iterable[str] = ("owner", "collaborator"), **hints: str) -> None:
        super().__init__(list(roles))
        self._hints = dict.fromkeys(("admin", "administrator"), _OWNER) | hints

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            if not (hint := self._hints.get(str(value).lower())):
                raise
            self.fail(f"{error.message} {hint}", param, ctx)
