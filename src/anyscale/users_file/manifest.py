"""The manifest of an export: what the file contains, so that one that was cut is refused.

It is the last line of JSON Lines, a comment at the end of LDIF, and a file beside CSV.
"""

import hashlib
from typing import BinaryIO

import msgspec

from anyscale.domain.models.exports import Manifest

#: the key of the line in JSON Lines
KEY = "manifest"

#: how the line of LDIF begins
COMMENT = f"# {KEY}: "

#: what follows the name of a CSV file
BESIDE = f".{KEY}.json"

_BLOCK = 1 << 20

_EDITED = "export the users again; if you have edited the file, remove its manifest"


def parse_manifest(text: str) -> Manifest:
    """Parse a manifest as JSON.

    Raises:
        ValueError: it is not one; the message completes "the manifest ...".
    """
    try:
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ValueError(f"cannot be read ({error}): {_EDITED}") from None


def fault_of(manifest: Manifest, users: int, stream: BinaryIO) -> str | None:
    """Return why a manifest does not fit a file, completing "the manifest ..."; None if it does.

    Args:
        manifest: of the file.
        users: how many the file has.
        stream: of the file; it is read from its beginning.
    """
    if manifest.users != users:
        return f"counts {manifest.users:,} users, and the file has {users:,}: {_EDITED}"
    if _sha256(stream, manifest.octets) != manifest.sha256:
        return f"is of other content, although the number of users is right: {_EDITED}"
    return None


def _sha256(stream: BinaryIO, octets: int) -> str:
    stream.seek(0)
    digest, left = hashlib.sha256(), octets
    while left and (block := stream.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()
