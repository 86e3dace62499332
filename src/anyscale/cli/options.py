"""Options that several commands have."""

from typing import Final

import click

__all__ = ["max_items_option", "text_or_json_option", "yes_option"]

max_items_option: Final = click.option(
    "--max-items", type=click.IntRange(min=0), help="At most this many."
)

text_or_json_option: Final = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)

yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
