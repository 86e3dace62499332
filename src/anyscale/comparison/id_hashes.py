"""Remember which ids and emails were seen, in 8 bytes each."""

from array import array
from bisect import bisect_left


class IdHashes:
    """The hashes of ids, or of keys of emails. Sorting takes 32 bytes more, so they are in parts.

    It may say of an id that it was added if another one has the same hash of 64 bits.
    """

    _PARTS = 64

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(self._PARTS)]

    def add(self, text: str) -> None:
        """Add an id, before `sort`."""
        value = hash(text)
        self._parts[value % self._PARTS].append(value)

    def sort(self) -> None:
        """Prepare for `in`, after the last `add`."""
        self._parts = [array("q", sorted(part)) for part in self._parts]

    def __contains__(self, text: str) -> bool:
        return self.has_hash(hash(text))

    def has_hash(self, value: int) -> bool:
        """Return whether an id with this hash was added."""
        part = self._parts[value % self._PARTS]
        at = bisect_left(part, value)
        return at < len(part) and part[at] == value
