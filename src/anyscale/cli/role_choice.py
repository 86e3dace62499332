"""The type of options and arguments for a role."""

from typing import Any

import click

__all__ = ["RoleChoice"]


class RoleChoice(click.Choice[str]):
    """`owner` or `collaborator`; it says what other programs call an owner."""

    def __init__(self) -> None:
        super().__init__(["owner", "collaborator"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            if str(value).lower() not in ("admin", "administrator"):
                raise
            self.fail(f"{error.message} Owners are the administrators: use owner.", param, ctx)
