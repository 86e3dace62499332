"""An invalid users file."""

from typing import NamedTuple


class Bad(NamedTuple):
    """An invalid file, and every line of its problems."""

    #: a description
    what: str
    file: str
    data: bytes
    lines: list[str]
