"""What the parsers of all schemes share: the checked value, the refusal, and base64."""

from base64 import b64decode, b64encode

from msgspec import Struct

#: A shorter tag has so few values that wrong passwords are right by chance.
MIN_TAG_OCTETS = 16

#: digits of a number: more would be no parameter of a hash, and take long to read
_MOST_DIGITS = 10


class RefusedHash(ValueError):
    """Why a text is not taken as a hash. The message does not quote it.

    Args:
        code: of the problem, such as `password_hash_invalid`.
        detail: completes "the hash ...".
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code: str = code
        self.detail: str = detail


class ParsedHash(Struct, frozen=True, gc=False, tag=True):
    """A hash whose parameters were checked: to compute it costs neither much memory nor time.

    Each scheme has a subclass, which defines the three properties: a `Struct` cannot be an abstract
    class of Python. `repr` shows nothing of it.
    """

    #: what the parameters give for the right password
    tag: bytes

    @property
    def scheme(self) -> str:
        """One of `SCHEMES`."""
        raise NotImplementedError

    @property
    def weakness(self) -> str:
        """Why it is below the floor of its scheme, completing "the hash ..."; empty if not."""
        raise NotImplementedError

    @property
    def milliseconds(self) -> int:
        """About how long one core of today computes it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return []


def number(text: str, name: str) -> int:
    """Return a positive number of at most ten digits, without leading zeros.

    Raises:
        RefusedHash: it is another text.
    """
    if not (text.isascii() and text.isdigit()) or text[0] == "0":
        raise RefusedHash("password_hash_invalid", f"has {name} that is not a positive number")
    if len(text) > _MOST_DIGITS:
        raise too_costly(f"has {name} of {len(text)} digits")
    return int(text)


def octets(text: str) -> bytes:
    """Decode base64: with `+` or, as passlib writes it, `.`, and with padding or without.

    Raises:
        RefusedHash: it is not base64, or sets bits that stand for no octet.
    """
    unpadded = text.replace(".", "+").rstrip("=")
    try:
        decoded = b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except ValueError:
        decoded = b""
    if b64encode(decoded).rstrip(b"=") != unpadded.encode() or not unpadded:
        raise RefusedHash("password_hash_invalid", "has a salt or a tag that is not valid base64")
    return decoded


def too_costly(detail: str) -> RefusedHash:
    """Return the refusal of a hash that nobody should compute."""
    return RefusedHash("password_hash_too_costly", f"{detail}: a sign-in would take too long")


def unknown(detail: str) -> RefusedHash:
    """Return the refusal of a hash of another scheme."""
    mend = "leave it out, and send the user a link to set a password"
    return RefusedHash("password_hash_unknown", f"{detail}: {mend}")
