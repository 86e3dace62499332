"""Recognize a lack of memory, for which Python raises several errors."""

from errno import ENOMEM

#: what the loader says if there is no memory for a library
_OF_LOADER = ("failed to map segment", "cannot allocate memory")


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory: for an object, a thread or a library."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == ENOMEM)
        or (isinstance(error, RuntimeError) and text == "can't start new thread")
        or (isinstance(error, ImportError) and any(words in text.lower() for words in _OF_LOADER))
    )
