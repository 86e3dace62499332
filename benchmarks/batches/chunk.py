"""Decode and validate a chunk of 10,000 users: the time, beside decoding it."""

import statistics
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from anyscale.domain.schemas.batches import UserChunk
from anyscale.domain.validation import Policy
from anyscale.errors import BatchRefused
from anyscale.server.http.api.user_bodies import check_chunk, decode_users
from benchmarks.support.measuring import Cost, pairs, show, timed

_POLICY = Policy()
_TIMES = 20


def measure(_: Path) -> None:
    users = [_user(i) for i in range(_POLICY.chunk_users)]
    right = _body(users)
    # Every hundredth user has a blank name and an invalid email.
    wrong = _body([one | _WRONG if i % 100 == 0 else one for i, one in enumerate(users)])
    # One number in a text field makes the server check each value separately.
    unfit = _body([*users[:-1], users[-1] | {"title": 1}])
    found, of_wrong, of_unfit = (_ratio(body, right) for body in (right, wrong, unfit))
    note = f" ({of_wrong:.1f}x with 1 % invalid users)"
    show("decoding and validating a chunk of 10,000 users / decoding it", found, 5, note=note)
    show("refusing this chunk for one value of a wrong type / taking it", of_unfit / found, 10)


_WRONG = {"name": " ", "email": "nobody"}


def _user(i: int) -> dict[str, Any]:
    return {
        "name": f"name{i}",
        "email": f"user{i}@example{i % 100}.com",
        "has_password": False,
        "is_sso_user": False,
        "lastname": f"lastname{i}",
        "title": f"title{i}",
    }


def _body(users: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"create_users": users})


def _ratio(body: bytes, right: bytes) -> float:
    found = pairs(
        lambda: _usual(lambda: _checked(body)),
        lambda: _usual(lambda: msgspec.json.decode(right, type=UserChunk)),
    )
    return found.ratio(lambda cost: cost.wall)


def _checked(body: bytes) -> None:
    with suppress(BatchRefused):
        check_chunk(decode_users(body, UserChunk, _POLICY).create_users, _POLICY)


def _usual(work: Callable[[], object]) -> Cost:
    """Return the median of several calls, because one call takes only a few milliseconds."""
    return Cost(statistics.median(timed(work).wall for _ in range(_TIMES)))
