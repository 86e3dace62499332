"""The memory of a server process that nothing uses."""

import ctypes
import gc
from contextlib import suppress

__all__ = ["give_memory_back"]


def give_memory_back() -> None:
    """Give the system back what work has used: neither Python nor glibc does so by itself."""
    gc.collect()  # a run and its error refer to each other, and to the places of all emails
    with suppress(AttributeError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
