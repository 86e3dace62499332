"""What sentences have: numbers and lists of things, and the command that the reader runs."""

from collections.abc import Mapping, Sequence


def quantity(number: int, noun: str) -> str:
    """Return a number of things in words: `1 account`, `2,000 accounts`."""
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: Sequence[str]) -> str:
    """Return words, at least one, as a list in a sentence: `a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def in_sentences(texts: Sequence[str]) -> str:
    """Return texts, at least one, as sentences. Questions and the last text get no period."""
    *others, last = texts
    return " ".join([*(text if text.endswith("?") else f"{text}." for text in others), last])


def is_by_admin(environment: Mapping[str, str]) -> bool:
    """Whether `musterroll-admin` runs this command, with the settings of the systemd unit."""
    return "MUSTERROLL_ADMIN" in environment


def with_command(text: str, environment: Mapping[str, str]) -> str:
    """Return a text that names the command which the operator runs."""
    if is_by_admin(environment):
        return text.replace("`anyscale ", "`musterroll-admin ")
    return text


def removed_in_words(email: str, removed: int) -> str:
    """Return what a reset of second factors has done, in words."""
    if not removed:
        return f"{email} had no second factor: nothing has changed."
    factors = "1 second factor is" if removed == 1 else f"{removed} second factors are"
    return f"{factors} removed, and {email} is signed out everywhere."
