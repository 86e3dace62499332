"""Writing to the disk what has to survive a power failure."""

import os
from pathlib import Path

__all__ = ["flush"]


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, from the cache to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
