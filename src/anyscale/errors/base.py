"""The superclass of all errors."""

from typing import Any, ClassVar

__all__ = [
    "AnyscaleError",
]


class AnyscaleError(Exception):
    """Superclass of all errors of this package. It is never raised itself."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain values, for JSON."""
        return {"code": self.code, "detail": str(self)}
