"""Find emails and external ids that occur twice in a file, without keeping them in memory."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping


class ValueHashes:
    """Stores the hashes of values, in 12 bytes each: a million emails would take 100 MB.

    Two values may have the same hash, so the caller has to compare the texts of what it finds.
    """

    _BUCKETS = 64

    def __init__(self) -> None:
        self._hashes = [array("q") for _ in range(self._BUCKETS)]
        self._indexes = [array("I") for _ in range(self._BUCKETS)]

    def add(self, key: str, index: int) -> None:
        # Python keys the hash of a text by a secret of the process: no file can force collisions.
        value = hash(key)
        bucket = value % self._BUCKETS
        self._hashes[bucket].append(value)
        self._indexes[bucket].append(index)

    def repeated(self) -> frozenset[int]:
        """Return the positions whose hash occurs more than once; unpack one bucket at a time."""
        positions: set[int] = set()
        for hashes, indexes in zip(self._hashes, self._indexes, strict=True):
            if len(set(hashes)) == len(hashes):
                continue
            twice = {value for value, times in Counter(hashes).items() if times > 1}
            positions.update(
                index for value, index in zip(hashes, indexes, strict=True) if value in twice
            )
        return frozenset(positions)


def repeated_values(values: Mapping[int, tuple[str, str]]) -> Iterator[tuple[int, int, str]]:
    """Iterate over the positions of values that are there before, with the first one's position.

    Args:
        values: position -> value, and the form of it that is compared.
    """
    first: dict[str, int] = {}
    for index, (value, key) in sorted(values.items()):
        if (original := first.setdefault(key, index)) != index:
            yield index, original, value
