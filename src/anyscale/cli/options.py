"""Options that several commands have."""

from typing import Final, TypeVar

import click

__all__ = ["max_items_option", "not_empty", "text_or_json_option", "yes_option"]

Value = TypeVar("Value")


def not_empty(_ctx: click.Context, option: click.Parameter, value: Value) -> Value:
    """Return the value of an option, or all values of a repeatable one.

    Raises:
        UsageError: one is empty, such as `"$ACTOR"` without the variable.
    """
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.UsageError(f"{option.opts[0]} is empty: give a value, or leave the option out")
    return value


max_items_option: Final = click.option(
    "--max-items", type=click.IntRange(min=0), help="At most this many."
)

text_or_json_option: Final = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)

yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
