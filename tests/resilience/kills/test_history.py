"""The check of a history finds a violation of each rule."""

import gzip
from typing import Any

import pytest
from msgspec import json
from tests.support.faults.faulty_proxy import Exchange
from tests.support.faults.history import StoredState, StoredUser, check_history, check_nothing_lost

from anyscale.server.store.user_ids import user_id

BATCH, OTHER = "bat_0123456789abcdef01234567", "bat_1123456789abcdef01234567"
CALL = f"/v1/batches/{BATCH}"
ANN, BOB = user_id(BATCH, 0), user_id(BATCH, 1)

Story = list[Exchange]


def exchange(
    at: float, call: str, response: Any, request_body: Any = None, status: int = 200
) -> Exchange:
    """Make an exchange of half a second, compressed as client and server do it."""
    request = b"x HTTP/1.1\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(
        json.encode(request_body)
    )
    body = json.encode(response)
    answer = b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
    return Exchange(call, request, answer, at, at + 0.5, delivered=True)


def shown(state: str, users: int = 2, batch_id: str = BATCH) -> dict[str, Any]:
    return {"batch_id": batch_id, "state": state, "users": users}


def hashed(at: float, stored: int, status: int = 200) -> Exchange:
    request_body = {"passwords": [(0, "correct horse"), (1, "battery staple")]}
    return exchange(at, f"POST {CALL}/passwords", {"stored": stored}, request_body, status)


def silent(answered: Exchange) -> Exchange:
    """Cut the response, as if the server had died."""
    return answered._replace(response=answered.response[:-1], delivered=False)


def published(at: float) -> Exchange:
    return exchange(at, f"POST {CALL}/publish", shown("published"))


def dropped(at: float) -> Exchange:
    return exchange(at, f"POST {CALL}/drop", shown("dropped", 0))


def listed(at: float, *users: tuple[str, str]) -> Exchange:
    response = {"users": [{"user_id": name, "email": email} for name, email in users]}
    return exchange(at, f"GET {CALL}/users?after=", response)


RESERVE = exchange(
    1,
    f"PUT {CALL}/chunks/0",
    {"users": 2, "skipped": 0, "conflicts": 0, "holders": []},
    {"create_users": [{"email": "ann@example.com"}, {"email": "bob@example.com"}]},
)
RESERVED = [exchange(0, "POST /v1/batches", shown("open", 0)), RESERVE]
HASHED = [*RESERVED, hashed(2, 2)]
TRUE = [*HASHED, published(3), listed(4, (ANN, "ann@example.com"), (BOB, "bob@example.com"))]

ROWS = {
    ANN: StoredUser(BATCH, "ann@example.com", "$1"),
    BOB: StoredUser(BATCH, "bob@example.com", "$2"),
}
WHOLE = StoredState({BATCH: "published"}, ROWS)
NOTHING = StoredState({BATCH: "dropped"}, {})


def without_hashes(state: str) -> StoredState:
    return StoredState(
        {BATCH: state}, {name: row._replace(password_hash=None) for name, row in ROWS.items()}
    )


@pytest.mark.parametrize(
    "story",
    [
        TRUE,
        # The server died before its response: the hashes may be stored or not.
        [*RESERVED, silent(hashed(2, 2)), hashed(3, 0), published(4)],
        [*RESERVED, hashed(2, 2, status=503), hashed(3, 0), published(4)],
        [*RESERVED, silent(hashed(2, 2)), hashed(3, 2), published(4)],
        # Two calls at once: the response of the one that stores none may come first.
        [*RESERVED, hashed(2.2, 2), hashed(2, 0), published(4)],
        # A response to an earlier request may show an earlier state.
        [*TRUE, exchange(3.2, f"GET {CALL}", shown("open"))],
    ],
)
def test_a_correct_history_passes(story: Story) -> None:
    check_history(story, WHOLE)


def test_a_dropped_batch_has_no_rows_to_check() -> None:
    check_nothing_lost([*HASHED, dropped(3)], NOTHING)
    for story in (HASHED, [*HASHED, silent(dropped(3))]):
        with pytest.raises(AssertionError, match="2 reserved users are lost"):
            check_nothing_lost(story, NOTHING)


ann_alone = StoredState({BATCH: "published"}, {ANN: ROWS[ANN]})

#: message -> a history that violates its rule
LOST: dict[str, tuple[Story, StoredState]] = {
    "acknowledged, and is lost": (RESERVED, StoredState({}, {})),
    "1 reserved users are lost": (RESERVED, ann_alone),
    "2 hashes are lost": (HASHED, without_hashes("open")),
    "did not stay published": (TRUE, WHOLE._replace(states={BATCH: "open"})),
    "did not stay dropped": ([*HASHED, dropped(3)], WHOLE),
    "published with other users": ([published(3)], ann_alone),
    "1 users of a response are no accounts": (
        [*TRUE, listed(5, (ANN, "bob@example.com"))],
        WHOLE,
    ),
    "2 users of a response are no accounts": (
        [listed(5, (ANN, "ann@example.com"), (BOB, "bob@example.com"))],
        WHOLE._replace(states={BATCH: "open"}),
    ),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_history_with_lost_data_fails(lost: str) -> None:
    with pytest.raises(AssertionError, match=lost):
        check_nothing_lost(*LOST[lost])


def test_a_published_batch_that_is_open_in_a_later_response_fails() -> None:
    for later in (shown("open"), {"batches": [shown("open")]}):
        with pytest.raises(AssertionError, match="did not stay published"):
            check_nothing_lost([*TRUE, exchange(5, f"GET {CALL}", later)], WHOLE)


def first_hashed(at: float, stored: int) -> Exchange:
    """Hash the first password alone, as a run does that cuts the file in other places."""
    request = {"passwords": [(0, "correct horse")]}
    return exchange(at, f"POST {CALL}/passwords", {"stored": stored}, request)


def test_runs_may_cut_the_passwords_in_different_places() -> None:
    check_history([*RESERVED, first_hashed(2, 1), hashed(3, 1), published(4)], WHOLE)
    check_history([*RESERVED, hashed(2, 2), first_hashed(3, 0), published(4)], WHOLE)


TWICE: dict[str, tuple[Story, StoredState]] = {
    "of 2 hashes 4 were stored": (
        [*RESERVED, silent(hashed(2, 0)), hashed(2, 2), hashed(2.2, 2), published(3)],
        WHOLE,
    ),
    "of 2 hashes 1 were stored, and all were answered": (
        [*RESERVED, hashed(2, 1), published(3)],
        WHOLE,
    ),
    "of 2 hashes 2 were stored after all were acknowledged": (
        [*RESERVED, silent(hashed(2, 2)), hashed(3, 0), hashed(4, 2), published(5)],
        WHOLE,
    ),
    "of 2 hashes 3 were stored": (
        [*RESERVED, first_hashed(2, 1), hashed(3, 2), published(4)],
        WHOLE,
    ),
    "of 2 hashes 1 were stored after all": (
        [*RESERVED, first_hashed(2, 0), hashed(3, 1), first_hashed(4, 1), published(5)],
        WHOLE,
    ),
    "2 batches are published": (
        TRUE,
        WHOLE._replace(states=dict.fromkeys((BATCH, OTHER), "published")),
    ),
    "0 batches are published": (HASHED, WHOLE._replace(states={BATCH: "open"})),
    "no response shows it": (HASHED, WHOLE),
    "1 emails have several accounts": (
        [published(3)],
        StoredState({BATCH: "published"}, ROWS | {BOB: ROWS[ANN]}),
    ),
}


@pytest.mark.parametrize("twice", TWICE)
def test_a_history_with_repeated_work_fails(twice: str) -> None:
    story, held = TWICE[twice]
    check_nothing_lost(story, held)
    with pytest.raises(AssertionError, match=twice):
        check_history(story, held)
