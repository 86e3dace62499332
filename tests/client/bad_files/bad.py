"""An invalid users file."""

from typing import NamedTuple


class Bad(NamedTuple):
    """An invalid file, and every problem of it."""

    #: a description
    what: str
    file: str
    data: bytes
    lines: list[str]
    #: the code of the problem in each line
    codes: list[str]
