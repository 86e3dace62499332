"""The control plane that a command asks."""

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from anyscale.cli.console import log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscale.transport.base import Transport

__all__ = ["asked"]


@contextmanager
def asked(host: str | None) -> "Iterator[Transport]":
    """Give the control plane that is meant; a person is told what it has to say meanwhile.

    Args:
        host: what `--host` says, if anything.

    Raises:
        ConfigError: as `resolve` and `open_transport` do.
    """
    from anyscale.config import resolve
    from anyscale.transport import open_transport

    with closing(open_transport(resolve(host, None))) as transport:
        transport.notice = log
        yield transport
