"""Ids of everything but accounts, whose ids are those of their batch: see `store.user_ids`."""

import os


def new_id(prefix: str, now: int) -> str:
    """Return an id that sorts by its time, then at random.

    Args:
        prefix: which says what it is the id of, such as `bat_`.
        now: milliseconds since 1970.
    """
    return f"{prefix}{now:012x}{os.urandom(6).hex()}"
