"""What every error of this project is."""

from typing import Any, ClassVar

__all__ = [
    "AnyscaleError",
]


class AnyscaleError(Exception):
    """Superclass of all errors of this package. Never raised itself."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def to_dict(self) -> dict[str, Any]:
        """Give the error as machines read it."""
        return {"code": self.code, "detail": str(self)}
