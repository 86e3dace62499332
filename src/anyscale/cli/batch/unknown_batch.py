"""The error for the id of a batch that does not exist."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyscale.cli.connect import suggested_command
from anyscale.errors import NotFound


@contextmanager
def unknown_explained() -> Iterator[None]:
    """Add to the error for an unknown batch how to find its id.

    Raises:
        NotFound: the error with this advice.
    """
    try:
        yield
    except NotFound as error:
        batches = suggested_command("batch", "list")
        raise NotFound(f"{error}: {batches} shows the batches") from None
