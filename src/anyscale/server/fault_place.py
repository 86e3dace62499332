"""Where a fault of this program is, for the log."""

from traceback import extract_tb


def place_of(error: Exception) -> str:
    """Return only file and line: texts and values of an error may be personal."""
    frames = extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
