"""The words by which an account is found: what the table `user_words` has of its texts.

They are here and not among the rules of `core`, because the store itself removes and replaces the
words of an account whenever it deletes or changes one.
"""

import re
import unicodedata

__all__ = ["MOST_WORDS", "fold", "split_words", "words_of"]

#: words of an account that are stored at most
MOST_WORDS = 24

_ascii_words = re.compile("[0-9a-z]+").findall

#: letters, marks and numbers, as the first letter of a general category (UAX 44, 5.7.1). A mark
#: belongs to the letter before it.
_IN_WORDS = frozenset("LMN")


def fold(text: str) -> str:
    """Return the form in which texts are compared, whatever their case and composition are.

    It is the caseless match of canonical equivalents (Unicode 3.13, D145), composed.
    """
    # For ASCII the result is the same, in a tenth of the time.
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", folded)


def split_words(folded: str) -> list[str]:
    """Return the words of a folded text: its letters, marks and numbers, split at all else."""
    if folded.isascii():
        return _ascii_words(folded)
    category = unicodedata.category
    return "".join(c if category(c)[0] in _IN_WORDS else " " for c in folded).split()


def _words(text: str) -> list[str]:
    # Nearly all texts are ASCII: for them one call does the work of five.
    return _ascii_words(text.lower()) if text.isascii() else split_words(fold(text))


def words_of(name: str, lastname: str | None, email: str) -> dict[str, bool]:
    """Return the first distinct words of an account, and whether each is a leading one.

    The first word of the name and that of the last name are leading ones. They come first; then
    come the other words of the name, of the last name and of the email as it is shown.
    """
    first, last = _words(name), _words(lastname or "")
    words = dict.fromkeys((*first[:1], *last[:1]), True)
    for word in (*first[1:], *last[1:], *_words(email)):
        if len(words) == MOST_WORDS:
            break
        words.setdefault(word, False)
    return words
