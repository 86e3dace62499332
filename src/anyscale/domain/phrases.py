"""Numbers of things, and lists of things, in sentences."""

from collections.abc import Sequence

__all__ = ["listed", "quantity"]


def quantity(number: int, noun: str) -> str:
    """Return a number of things in words: `1 account`, `2,000 accounts`."""
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: Sequence[str]) -> str:
    """Return words, at least one, as a list in a sentence: `a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
