"""A file in which something is wrong."""

from typing import NamedTuple


class Bad(NamedTuple):
    """A bad file, and every line that is said of it."""

    #: what is wrong, in words
    what: str
    file: str
    data: bytes
    lines: list[str]
