"""Types and look-ups that the tests of transports share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.users import (
    POLICY,
    list_accounts,
)

from anyscale.server.settings import Settings
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport

Connect = Callable[..., Transport]


def embedded(folder: Path) -> Transport:
    database, url = folder / "data" / "anyscale.db", "https://accounts.example.com"
    return EmbeddedTransport(Settings(database=database, policy=POLICY, public_url=url))


def accounts(transport: Transport) -> list[str]:
    return [user.email for user in list_accounts(transport)]


def suspended(transport: Transport, limit: int | None = None, **query: Any) -> list[str]:
    return [user.email for user in list_accounts(transport, limit, suspended=True, **query)]
