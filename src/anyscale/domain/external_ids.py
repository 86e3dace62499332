"""External ids: the personnel number of a user, or what else stays with the person.

It is an identifier, as an email is: it is compared exactly, also in its case and its zeros, after
Unicode's NFC. So a blank around it, which nobody sees, is a fault.
"""

import unicodedata

#: Characters of a text that may be one in any form. In some versions of Python, the time for a
#: longer one grows with its square.
_LONGEST = 1_024


def is_plain_external_id(text: str) -> bool:
    """Whether a text has no blank around it and no special character, as nearly all of them."""
    return text.isascii() and text.isprintable() and text.strip() == text != ""


def normalized_external_id(text: str) -> str:
    """Return the form of a valid external id that is stored and compared."""
    if text.isascii() or len(text) > _LONGEST:
        return text
    return unicodedata.normalize("NFC", text)


def blank_fault(text: str) -> str:
    """Return what is wrong with the blanks of an external id; an empty text if nothing is."""
    if not text.strip():
        return "is blank: leave it out, or write null, if there is none"
    if text != text.strip():
        return "has a blank at its beginning or its end: remove it"
    return ""
