"""How much freed memory glibc keeps for the next chunk of users."""

import ctypes
from contextlib import suppress

#: Octets that an arena of malloc keeps although they are free. A chunk of users needs less: if its
#: memory came from the system each time, it would take a tenth more time.
_KEPT_OCTETS = 4 << 20

#: Options of mallopt(3). `M_TRIM_THRESHOLD`, and `M_MMAP_THRESHOLD`, which glibc raises as soon as
#: a larger block is freed, such as a users file: the next one then stays with its thread.
#: `M_ARENA_MAX`: each further arena has free memory that threads of the others cannot use.
_OPTIONS = {-1: _KEPT_OCTETS, -3: _KEPT_OCTETS, -8: 2}


def return_large_blocks() -> None:
    """Let glibc give large blocks back to the system as soon as they are freed, and keep others."""
    with suppress(AttributeError):  # other C libraries have no such function
        for option, value in _OPTIONS.items():
            ctypes.CDLL(None).mallopt(option, value)
