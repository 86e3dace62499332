"""The fork server imports this, so that the heap of C has no gaps between its blocks.

A command would take its memory from the gaps, and copy the page of each: a third of the pages that
a short command copies. It takes new memory instead, where the blocks lie side by side.
"""

import ctypes

#: blocks of each size that malloc keeps for the next call, and the largest such size in octets
_KEPT, _LARGEST_KEPT = 7, 1032

#: octets of blocks of one size, where the heap is another one than that of glibc
_MOST = 8 << 20

_libc = ctypes.CDLL(None)
_libc.malloc.restype = _libc.sbrk.restype = ctypes.c_void_p

for size in range(24, _LARGEST_KEPT + 1, 16):
    for _ in range(_KEPT):
        _libc.malloc(ctypes.c_size_t(size))
for size in (*(1 << bits for bits in range(16, 5, -1)), 24):
    end = _libc.sbrk(0)
    for _ in range(_MOST // size):
        if _libc.sbrk(0) != end:  # it has grown, as no gap has room for the block
            break
        _libc.malloc(ctypes.c_size_t(size))
