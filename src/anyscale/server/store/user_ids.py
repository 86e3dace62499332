"""The ids of users: `usr_`, the rest of the id of their batch, and their position in it.

The position has eight hexadecimal digits. Ids therefore sort by the opening of the batch, then by
position, and the ids of a batch are a range. Statements that build ids (`sql/search/`) repeat the
format in SQL.
"""

import re
from collections.abc import Iterable

_POSITION_DIGITS = 8

#: the last position that fits into an id
MAX_POSITION = 16**_POSITION_DIGITS - 1

#: a text before all ids, and one after them: `g` follows the hexadecimal digits
FIRST_ID, IDS_END = "", "usr_g"


def user_id(batch_id: str, position: int) -> str:
    """Return the id of a batch's user. Ids are the same each time, and sort like the input."""
    return f"{id_prefix(batch_id)}{position:08x}"


def batch_id_of(user_id: str) -> str:
    """Return the id of the batch that created a user."""
    return "bat_" + user_id.removeprefix("usr_")[:-_POSITION_DIGITS]


def user_ids(batch_id: str, positions: Iterable[int]) -> list[str]:
    """Return the ids of a batch's users at some positions."""
    prefix = id_prefix(batch_id)
    return [f"{prefix}{position:08x}" for position in positions]


def id_prefix(batch_id: str) -> str:
    """Return how the ids of a batch's users begin; the position follows."""
    return "usr_" + batch_id.removeprefix("bat_")


def end_of_batch(batch_id: str) -> str:
    """Return a text after all ids of a batch's users, and before those of the next batch."""
    return id_prefix(batch_id) + "g"


def is_id_of(batch_id: str, text: str) -> bool:
    """Return whether a text is the id of a user that a batch may have."""
    prefix, position = text[:-_POSITION_DIGITS], text[-_POSITION_DIGITS:]
    return prefix == id_prefix(batch_id) and re.fullmatch("[0-9a-f]{8}", position) is not None


def position_of(user_id: str) -> int:
    """Return the position that an id contains."""
    return int(user_id[-_POSITION_DIGITS:], 16)
