"""The base of all records."""

from msgspec import Struct


class Record(Struct, frozen=True, array_like=True):
    """A row. `array_like` lets msgspec build a list of records from a list of tuples."""
