"""The error for the id of a batch that does not exist."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyscale.errors import NotFound

__all__ = ["unknown_explained"]


@contextmanager
def unknown_explained() -> Iterator[None]:
    """Add to the error for an unknown batch how to find its id.

    Raises:
        NotFound: in place of one without it.
    """
    try:
        yield
    except NotFound as error:
        raise NotFound(f"{error}: `anyscale batch list` shows the batches") from None
