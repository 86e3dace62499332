"""A click group whose commands are imported when they run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that names and describes its commands without importing them.

    `lazy_commands` maps the name of each command to its place in the package, `module:attribute`,
    and to the first sentence of its help. `page` is the page of the documents on the group, and
    `pages` maps commands to other pages: the help of each command names its page.
    """

    def __init__(
        self,
        name: str | None,
        package: str,
        lazy_commands: Mapping[str, tuple[str, str]],
        page: str = "README.md",
        pages: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(name, epilog=_documentation(page), **attributes)
        self._package = package
        self._lazy_commands = lazy_commands
        self._pages = pages or {}

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._lazy_commands)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._lazy_commands:
            return None
        module, _, attribute = self._lazy_commands[name][0].partition(":")
        command = getattr(import_module(f"{self._package}.{module}"), attribute)
        assert isinstance(command, click.Command)
        if not isinstance(command, LazyGroup):
            command.epilog = (
                _documentation(self._pages[name]) if name in self._pages else self.epilog
            )
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with self._explained():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with self._explained():
            return super().invoke(ctx)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name all that is missing, and `-o json` for the option `--json` of other programs."""
        try:
            yield
        except click.MissingParameter as error:
            raise _with_all_missing(error) from None
        except click.NoSuchOption as error:
            if error.option_name != "--json" or not _has_json(error.ctx):
                raise
            # click would suggest an option with other letters, such as --sso.
            raise click.UsageError(f"{error.message} Use -o json", error.ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        is_unknown = name not in self._lazy_commands and not name.startswith("-")
        if is_unknown and not ctx.resilient_parsing:  # click knows no names to suggest
            raise click.NoSuchCommand(name, possibilities=self._lazy_commands, ctx=ctx)
        name_, command, arguments = super().resolve_command(ctx, args)
        if command and not isinstance(command, click.Group) and not ctx.resilient_parsing:
            _refuse_repeated(click.Context(command, ctx, name_), arguments)
        return name_, command, arguments

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy_commands.items()])


def _with_all_missing(error: click.MissingParameter) -> click.UsageError:
    """Return the error for all parameters that a command needs and did not get.

    click stops at the first one. It has read the others that were given before.
    """
    ctx = error.ctx
    if ctx is None:
        return error
    missing = [one for one in ctx.command.params if one.required and one.name not in ctx.params]
    texts = [f"Missing {one.param_type_name} {one.get_error_hint(ctx)}." for one in missing]
    return click.UsageError(" ".join(texts), ctx) if len(texts) > 1 else error


def _has_json(ctx: click.Context | None) -> bool:
    options = ctx.command.params if ctx else []
    return any("-o" in option.opts and option.name == "output" for option in options)


def _documentation(page: str) -> str:
    # An installation has no pages, and there is no public address yet.
    return f"Documentation: {page} in the source of musterroll; `man anyscale`."


def _refuse_repeated(ctx: click.Context, arguments: list[str]) -> None:
    """Raise `UsageError` for an option that is given twice: click would take the last value."""
    try:
        _, _, order = ctx.command.make_parser(ctx).parse_args(list(arguments))
    except click.UsageError:  # the command itself explains it
        return
    for option in order:
        takes_one = isinstance(option, click.Option) and not (option.is_flag or option.multiple)
        if takes_one and order.count(option) > 1:
            raise click.UsageError(f"{'/'.join(option.opts)} is given twice: give it once", ctx)
