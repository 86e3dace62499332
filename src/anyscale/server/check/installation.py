"""The installation that is checked, and what several checks need of it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from anyscale.errors import ConfigError, StoreUnavailable
from anyscale.server.check.findings import NotTried
from anyscale.server.check.time_limit import within_time
from anyscale.server.settings import Settings
from anyscale.server.store.database_facts import DatabaseFacts
from anyscale.server.store.inspection import inspect_database
from anyscale.server.store.interface import Transaction

__all__ = ["Installation"]

Value = TypeVar("Value")

_PREFIX = "ANYSCALE_"


class Installation:
    """A control plane as its operator's environment describes it.

    Args:
        environment: the variables.
        environment_file: from which they come.
    """

    def __init__(self, environment: Mapping[str, str], environment_file: Path) -> None:
        self.environment = environment
        self.environment_file = environment_file

    def read_settings(self) -> Settings:
        """Return the settings of a server, or raise `ConfigError`."""
        return Settings.from_environment(self.environment, served=True)

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises `NotTried` if one is wrong."""
        try:
            return self.read_settings()
        except ConfigError:
            raise NotTried("a setting is wrong: see settings.values") from None

    def inspect(self, read: Callable[[Transaction], Value]) -> tuple[DatabaseFacts, Value | None]:
        """Look at the database, as `inspect_database` does, in limited time.

        Raises:
            NotTried: a setting is wrong.
            StoreUnavailable, TimeoutError: it cannot be read.
        """
        database = self.settings.database
        return within_time(lambda: inspect_database(database, read))

    @cached_property
    def database(self) -> DatabaseFacts:
        """The facts of the database. Raises `NotTried` if it cannot be read."""
        try:
            return self.inspect(lambda _: None)[0]
        except (StoreUnavailable, TimeoutError):
            raise NotTried("the database cannot be read: see database.reachable") from None

    @property
    def workers(self) -> int:
        """The worker processes of the server, as the environment says; by default 1."""
        text = self.environment.get(f"{_PREFIX}WORKERS", "").strip()
        return int(text) if text.isascii() and text.isdigit() else 1
