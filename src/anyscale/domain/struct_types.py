"""The fields of msgspec's structs, which have to be examined before threads use them."""

from contextlib import suppress

from msgspec import Struct, json

__all__ = ["examine_structs"]

_PACKAGE = __name__.partition(".")[0]

_examined: set[type[Struct]] = set()


def examine_structs() -> None:
    """Examine the fields of all structs of this package that are defined now.

    msgspec does so when a struct is first decoded or converted. Two threads that do it at the same
    time end the process by SIGSEGV (msgspec 0.22), so call this before threads start. Only the
    event loop uses those that the framework makes of handlers.
    """
    structs: list[type[Struct]] = [Struct]
    for struct in structs:  # it grows
        structs += (one for one in struct.__subclasses__() if one.__module__.startswith(_PACKAGE))
    for struct in {*structs} - _examined:
        _examined.add(struct)
        with suppress(Exception):  # one with fields that nobody decodes
            json.Decoder(struct)
