"""Characters that leave no mark: with one of them, two texts look the same and are not."""

import re

__all__ = ["INVISIBLE", "is_visible"]

#: The property `Default_Ignorable_Code_Point` (Unicode 17.0, DerivedCoreProperties.txt), which
#: Python does not have, and the blank of Braille. `str.isprintable` is true for some of them, such
#: as the fillers of Hangul. First and last names may have them: Persian and emoji need joiners.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def is_visible(name: str) -> bool:
    """Whether a name of a program or a token is not empty, and all of it can be seen."""
    return bool(name) and name == name.strip() and name.isprintable() and not INVISIBLE.search(name)
