"""The fields of msgspec's structs, which have to be examined before threads use them."""

from collections.abc import Iterator
from contextlib import suppress

from msgspec import Struct, json

__all__ = ["examine_structs"]

_examined: set[type[Struct]] = set()


def examine_structs() -> None:
    """Examine the fields of all structs that are defined now.

    msgspec does so when a struct is first decoded or converted. Two threads that do it at the same
    time end the process by SIGSEGV (msgspec 0.22), so call this before threads start.
    """
    for struct in _subclasses(Struct):
        if struct not in _examined:
            _examined.add(struct)
            with suppress(Exception):  # one with fields that nobody decodes
                json.Decoder(struct)


def _subclasses(struct: type[Struct]) -> Iterator[type[Struct]]:
    for one in struct.__subclasses__():
        yield one
        yield from _subclasses(one)
