"""The schemes of hashes that this system verifies. Each command that creates users reads them."""

from anyscale.domain.password_hashes import SCHEMES
from anyscale.server.core.hashing.schemes.libcrypt import supported_schemes


def verified_schemes() -> tuple[str, ...]:
    """Return the schemes of `SCHEMES` that this system verifies."""
    by_library = supported_schemes()
    own = ("argon2", "scrypt", "pbkdf2", "digest")
    return tuple(name for name in SCHEMES if name in own or name in by_library)
