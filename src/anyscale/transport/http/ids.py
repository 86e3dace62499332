"""Ids in the paths of calls."""

import re
from collections.abc import Callable

from anyscale.errors import NotFound

#: Also those that a server sends are compared with it, where a shell would read them.
is_id: Callable[[str], object] = re.compile(r"[0-9A-Za-z_]{1,64}").fullmatch


def id_in_path(text: str, not_found: Callable[[str], NotFound]) -> str:
    """Return an id as it is. A user typed it: it may be empty, or have what no path has.

    Raises:
        NotFound: it cannot be an id: the error that `not_found` returns for it.
    """
    if not is_id(text):
        raise not_found(text)
    return text


def batch_path(batch_id: str) -> str:
    """Return the path of a batch, or raise `NotFound`."""
    return f"/v1/batches/{id_in_path(batch_id, NotFound.batch)}"
