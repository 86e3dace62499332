"""The filters of a list, which are in its address."""

from typing import Any, ClassVar
from urllib.parse import urlencode

from msgspec import Struct, to_builtins


class Filters(Struct, frozen=True, omit_defaults=True):
    """Which rows a list has; an empty text is for any."""

    #: of the list
    path: ClassVar[str]

    @property
    def parameters(self) -> dict[str, Any]:
        """Those that are set, by their names in the address and in forms."""
        parameters: dict[str, Any] = to_builtins(self)
        return parameters

    def address(self, path: str = "", **more: object) -> str:
        """Return the address of a page with these filters; of the list without a path."""
        return address(path or self.path, **self.parameters, **more)


def address(path: str, **parameters: object) -> str:
    """Return a path with those parameters that are not empty."""
    query = urlencode({name: value for name, value in parameters.items() if value != ""})
    return f"{path}?{query}" if query else path
