"""The words that find an account: what the table `user_words` has of its texts.

They are here and not among the rules of `core`, because the store itself removes and replaces the
words of an account whenever it deletes or changes one.
"""

import re
import unicodedata

#: The kinds of words: those that begin the name or the last name, other words of these, and words
#: that only the email has. The index keeps them apart, so that a search for a name reads no emails.
LEADING, OF_NAME, OF_EMAIL = range(3)

#: words of an account that are stored at most, each with its plain forms
MOST_WORDS = 24

_ascii_words = re.compile("[0-9a-z]+").findall

#: letters, marks and numbers, as the first letter of a general category (UAX 44, 5.7.1). A mark
#: belongs to the letter before it.
_IN_WORDS = frozenset("LMN")


# Marks after a plain Latin or a Greek letter, in NFD: those of Cyrillic and others make another
# letter.
_marks = re.compile("(?<=[a-z\u03b1-\u03c9])[\u0300-\u036f]+")

# Latin letters that NFD does not decompose; and German and Nordic letters as their countries spell
# them without an umlaut.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})

#: between a folded text and its plain forms: no text has it, and both databases can store it
_BETWEEN_FORMS = "\x01"


def forms_of(folded: str) -> list[str]:
    """Return a folded text and its forms in plain letters: müller, muller, mueller."""
    if folded.isascii():
        return [folded]
    plain = (_without_marks(text) for text in (folded, folded.translate(_SPELLED)))
    return list(dict.fromkeys([folded, *plain]))


def _without_marks(folded: str) -> str:
    text = _marks.sub("", unicodedata.normalize("NFD", folded.translate(_PLAIN)))
    return unicodedata.normalize("NFC", text)


def searchable(text: str) -> str:
    """Return the text that a search looks into: folded, and its plain forms."""
    return text.lower() if text.isascii() else _BETWEEN_FORMS.join(forms_of(fold(text)))


def fold(text: str) -> str:
    """Return the form of a text that is compared, whatever their case and composition are.

    It is the caseless match of canonical equivalents (Unicode 3.13, D145), composed. The dotless i
    of Turkish is an i: a text in capitals does not tell which of the two it has.
    """
    # For ASCII the result is the same, in a tenth of the time.
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold().replace("\u0131", "i")
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


def words_of(name: str, lastname: str | None, email: str) -> dict[str, int]:
    """Return the first distinct words of an account, each with its kind.

    Each word is followed by its plain forms.

    The first word of the name and that of the last name are leading ones. They come first; then
    come the other words of the name, of the last name and of the email as it is shown.
    """
    first, last = _words(name), _words(lastname or "")
    words = dict.fromkeys((*first[:1], *last[:1]), LEADING)
    for kind, others in ((OF_NAME, (*first[1:], *last[1:])), (OF_EMAIL, _words(email))):
        for word in others:
            if len(words) == MOST_WORDS:
                break
            words.setdefault(word, kind)
    return words if all(map(str.isascii, words)) else _with_plain_forms(words)


def _with_plain_forms(words: dict[str, int]) -> dict[str, int]:
    forms: dict[str, int] = {}
    for word, kind in words.items():
        for form in forms_of(word):
            forms[form] = min(kind, forms.get(form, kind))
    return forms
