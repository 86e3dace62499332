"""Forms of pages that create something: each has a key, and creates once if it arrives twice."""

from typing import Final

#: The message for a form to which a browser went back, and which was sent with other values.
FORM_USED: Final = (
    "this form was sent before, and what it created has other values, or was deleted. Nothing was "
    "created now: look at the fields, and send it again"
)
