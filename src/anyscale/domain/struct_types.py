"""The fields of msgspec's structs, which have to be examined before threads use them."""

from contextlib import suppress
from threading import Lock

from msgspec import Struct, json

_PACKAGE = __name__.partition(".")[0]

_examined: set[type[Struct]] = set()

#: Two threads that examine one struct at the same time are what this module prevents.
_lock = Lock()


def examine_structs() -> None:
    """Examine the fields of all structs of this package that are defined now.

    msgspec does so when a struct is first decoded or converted. Two threads that do it at the same
    time end the process by SIGSEGV (msgspec 0.22), so call this before threads use them, and again
    after the import of a module that has some. Only the event loop uses those that the framework
    makes of handlers.
    """
    with _lock:
        structs: list[type[Struct]] = [Struct]
        for struct in structs:  # it grows
            structs += filter(_is_ours, struct.__subclasses__())
        for struct in {*structs} - _examined:
            with suppress(Exception):  # one with fields that nobody decodes
                json.Decoder(struct)
            _examined.add(struct)


def _is_ours(struct: type[Struct]) -> bool:
    return struct.__module__.startswith(_PACKAGE)
