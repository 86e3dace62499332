"""The logo of an organization, which the pages show."""

import hashlib
import re
from functools import cached_property

from msgspec import Struct

LOGO_ASSET = "/assets/logo"

#: A browser loads it once, before it shows the first page.
MOST_OCTETS = 256 * 1024

#: the first element of an XML document, after comments and what declares the document
_is_svg = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:(?:<!--.*?-->|<[?!][^>]*+>)[\s\]>]*+)*+<(?:\w+:)?svg[\s>]",
    re.DOTALL,
).match

_SVG_NAMESPACE = b"http://www.w3.org/2000/svg"


class Logo(Struct, frozen=True, dict=True):
    """A picture, as its file has it."""

    content: bytes
    media_type: str

    @cached_property
    def version(self) -> str:
        """A part of its digest, which is part of the address."""
        return hashlib.sha256(self.content).hexdigest()[:12]

    @property
    def address(self) -> str:
        """Its address on this server, which changes with the content."""
        return f"{LOGO_ASSET}?v={self.version}"


def picture_type(content: bytes) -> str | None:
    """Return the media type of a picture that every browser shows; None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    # Browsers show an SVG document as a picture only if its elements are in the namespace.
    if _is_svg(content) and _SVG_NAMESPACE in content:
        return "image/svg+xml"
    return None
