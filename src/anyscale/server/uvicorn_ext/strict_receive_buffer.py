"""Refuse headers whose lines a proxy may see in another way than h11."""

import re

from h11 import LocalProtocolError
from h11._receivebuffer import ReceiveBuffer

#: A line feed without a carriage return (RFC 9112, 2.2), and a line that continues the previous
#: one (5.2): a server may refuse both.
_has_odd_line = re.compile(rb"(?<!\r)\n|\n[ \t]").search


class StrictReceiveBuffer(ReceiveBuffer):
    """h11's buffer of received octets, whose headers have plain lines only."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return the lines of headers if they are complete; h11 answers the error with 400."""
        before = bytes(self._data)
        lines = super().maybe_extract_lines()
        if lines is not None and _has_odd_line(before[: len(before) - len(self._data)]):
            raise LocalProtocolError("a line does not end with CR LF, or continues another one")
        return lines
