"""Options that several commands have."""

from shlex import quote
from typing import Any, Final, TypeVar

import click

Value = TypeVar("Value")


class WholeNumber(click.IntRange):
    """A number of a range: click's help and errors call it an integer range."""

    name = "number"


class OptionCommand(click.Command):
    """A command that suggests its required option for an argument without it.

    Args:
        option: such as `-f`.
    """

    def __init__(self, *args: Any, option: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._option = option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        arguments = list(args)  # click empties its list
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            _, words, _ = self.make_parser(ctx).parse_args(arguments)
            if not words:
                raise
            if words == ["help"]:
                raise click.UsageError(f"Use `{ctx.command_path} --help`.", ctx) from None
            raise click.UsageError(
                f"{error.format_message()} Use {self._option} {quote(words[0])}", ctx
            ) from None


def not_empty(_ctx: click.Context, option: click.Parameter, value: Value) -> Value:
    """Return the value of an option, or all values of a repeatable one.

    Raises:
        UsageError: one is empty, such as `"$ACTOR"` without the variable.
    """
    if value == "" or (isinstance(value, tuple) and "" in value):
        raise click.UsageError(f"{option.opts[0]} is empty: give a value, or leave the option out")
    return value


max_items_option: Final = click.option(
    "--max-items", type=WholeNumber(min=0), help="At most this many."
)

text_or_json_option: Final = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)

#: of changes of an account that end the links which its user created
keep_links_option: Final = click.option(
    "--keep-links",
    is_flag=True,
    help="Keep the unused links that this owner created for others. They end otherwise: the owner "
    "may have a copy of each.",
)
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
