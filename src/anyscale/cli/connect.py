"""Open the control plane that a command uses."""

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from anyscale.cli.console import log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscale.transport.base import Transport

__all__ = ["open_control_plane"]


@contextmanager
def open_control_plane(host: str | None) -> "Iterator[Transport]":
    """Open the control plane that `--host`, the environment or the credentials file names.

    Its messages during long calls go to the log.

    Args:
        host: the value of `--host`, if there is one.

    Raises:
        ConfigError: as `resolve` and `open_transport` do.
    """
    from anyscale.config import resolve
    from anyscale.transport import open_transport

    with closing(open_transport(resolve(host, None))) as transport:
        transport.on_notice = log
        yield transport
