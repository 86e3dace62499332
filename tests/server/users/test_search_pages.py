"""Searches page by page: what a page looks at, what it says, and which cursors it takes."""

from base64 import urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs
from tests.support.databases.searches import index_words, people_named
from tests.support.databases.stored_batches import (
    impatient,
    patient,
    read_all,
    repeated,
    store_batches,
)

from anyscale.domain.user_query import UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.core.search import pages
from anyscale.server.core.search import tiers as search
from anyscale.server.core.search.cursor import PagePosition, decode_cursor, encode_cursor
from anyscale.server.core.search.listing import UserListing
from anyscale.server.core.search.pages import BUDGET
from anyscale.server.core.search.tiers import end_of
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.search import Filters, FoundWord, IndexPlace
from anyscale.server.store.sql.search.user_words import Words
from anyscale.server.store.transaction import Store

pytestmark = pytest.mark.both_stores


@pytest.fixture
def store(shared_store: Store) -> Store:
    return shared_store


def test_indexed_results_do_not_wait_for_a_scan_of_all_accounts(store: Store) -> None:
    store_batches(store, [people_named("Jane", "Sojane")])
    index_words(store, 100)
    users = patient(store)
    first = users.page(UserQuery(search="jane"), "", 9)
    assert [user.name for user in first.users] == ["Jane"]
    rest = users.page(UserQuery(search="jane"), str(first.cursor), 9)
    assert ([user.name for user in rest.users], rest.cursor) == (["Sojane"], None)


@pytest.mark.parametrize(
    "text", ["common rare", "rare common", "common ra", "com ra", "x.org rare common"]
)
def test_accounts_are_read_by_the_rarest_word(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    monkeypatch.setattr(pages, "BLOCKS", 10)  # one for each kind of word in each tier
    store_batches(store, [people_named(*["Common"] * 400, "Common Rare")])
    index_words(store, 1_000)
    found = patient(store).page(UserQuery(search=text), "", 9).users
    assert [user.lastname for user in found] == ["Rare"]


@pytest.mark.parametrize("text", ["anna miller", "ann mill", "x.org miller anna"])
def test_a_page_is_full_if_it_can_read_all_rows_of_one_word(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(pages, "BLOCKS", 12)  # 2,400 rows, in up to three tiers
    others = people_named(*["Anna Ott"] * 2_500, *["Ben Miller"] * 1_000)
    store_batches(store, [others, people_named(*["Anna Miller"] * 60)])
    index_words(store, 4_000)

    found = patient(store).page(UserQuery(search=text), "", 50).users

    assert [user.lastname for user in found] == ["Miller"] * 50


@pytest.mark.parametrize("text", ["anna miller", "miller anna", "x.org anna miller"])
def test_accounts_are_read_by_the_rarest_of_frequent_words(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    monkeypatch.setattr(search, "_MOST_COUNTED", 20)
    monkeypatch.setattr(search, "_SAMPLE", 10)
    monkeypatch.setattr(pages, "BLOCKS", 10)
    store_batches(store, [people_named(*["Anna Ott"] * 20, *["Anna Ott", "Anna Miller"] * 60)])
    index_words(store, 1_000)

    found = patient(store).page(UserQuery(search=text), "", 50).users

    assert [user.lastname for user in found] == ["Miller"] * 50


@pytest.mark.parametrize("text", ["anna org", "org anna", "anna or"])
def test_a_name_with_a_word_of_emails_is_not_looked_for_among_names(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    monkeypatch.setattr(pages, "BLOCKS", 12)
    store_batches(store, [people_named(*["Anna Ott"] * 400)])
    index_words(store, 1_000)

    found = patient(store).page(UserQuery(search=text), "", 50).users

    assert len(found) == 50


@pytest.mark.parametrize("text", ["anna", "anna miller", "miller an", "x.org anna miller"])
def test_a_page_is_full_while_the_index_has_matches(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    others = people_named(*["Anna Ott", "Ben Miller", "Ann Ott"] * 40, "Anna Miller")
    store_batches(store, [others, people_named(*["Anna Ott", "Anna Miller"] * 60)])
    index_words(store, 1_000)
    slow, query = impatient(store, 2 * BUDGET), UserQuery(search=text)

    first = slow.page(query, "", 50)
    second = slow.page(query, str(first.cursor), 50)

    assert len(first.users) == 50
    assert len(second.users) == (50 if text == "anna" else 11)


def test_a_page_reads_some_blocks_of_the_index_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    monkeypatch.setattr(pages, "BLOCKS", 7)
    store_batches(store, [people_named(*["Anna Ott", "Ben Miller"] * 80, "Anna Miller")])
    index_words(store, 1_000)
    users, query = patient(store), UserQuery(search="anna miller")

    first = users.page(query, "", 50)

    assert (first.users, first.cursor is None) == ([], False)
    (found,) = read_all(users, query, repeated([50]), str(first.cursor))
    assert found.lastname == "Miller"


def test_a_later_page_reads_more_blocks_of_the_index_than_the_first_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    monkeypatch.setattr(pages, "BLOCKS", 1)
    store_batches(store, [people_named(*["Anna Ott", "Ben Miller"] * 50, "Anna Miller")])
    index_words(store, 1_000)
    users, query = patient(store), UserQuery(search="anna miller")

    first = users.page(query, "", 50)
    second = users.page(query, str(first.cursor), 50)

    # Of one word 51 accounts are read: 10 by the first page, and the others by the second one.
    assert [len(page.users) for page in (first, second)] == [0, 1]


def test_a_page_that_finds_nobody_reads_more_accounts_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    read = Words.range

    def noted(self: Words, *, limit: int, **others: Any) -> list[FoundWord]:
        limits.append(limit)
        return read(self, limit=limit, **others)

    monkeypatch.setattr(Words, "range", noted)
    monkeypatch.setattr(search, "INDEX_ROWS", 10)
    monkeypatch.setattr(pages, "BLOCKS", 50)
    store_batches(store, [people_named(*["Anna Ott"] * 200)])
    index_words(store, 1_000)

    patient(store).page(UserQuery(search="anna", suspended=True), "", 50)

    assert limits[:6] == [10, 20, 40, 80, 80, 10]


def test_accounts_that_filters_leave_out_are_not_read(store: Store) -> None:
    store_batches(store, [people_named("Anna", "Anna")])
    index_words(store, 1_000)
    anybody, place = Filters(), IndexPlace(9, 0)
    with Transactions(store).read() as tx:
        everybody, nobody = (
            tx.words.range(
                kind=0, first="anna", end=None, after=None, watermark=place, limit=9, filters=chosen
            )
            for chosen in (anybody, structs.replace(anybody, suspended=True))
        )
    assert [row.user is None for row in everybody] == [False, False]
    assert [row.user is None for row in nobody] == [True, True]


def test_a_page_says_how_many_accounts_are_not_indexed(store: Store) -> None:
    store_batches(store, [people_named("Ann", "Bob", "Cid")])
    # The number comes from the chunks of a batch.
    users = UserListing(Transactions(store))
    assert users.page(UserQuery(search="ann"), "", 9).unindexed == 0
    assert not isinstance(users.page(UserQuery(), "", 9).unindexed, int)


def test_accounts_that_are_indexed_during_a_search_keep_their_place(store: Store) -> None:
    store_batches(store, [people_named("Jane"), people_named("Janet", "Jane")])
    index_words(store, 2)
    users, query = patient(store), UserQuery(search="jane")
    first = users.page(query, "", 1)
    second = users.page(query, str(first.cursor), 1)
    assert [user.name for user in (*first.users, *second.users)] == ["Jane", "Janet"]
    index_words(store, 100)
    # By its words it would be behind the first one, where this search does not look any more.
    rest = read_all(users, query, repeated([1]), str(second.cursor))
    assert [user.name for user in rest] == ["Jane"]


@pytest.mark.parametrize("content", [(2,), (2, "a"), (2, b"", (0, (), (0, 0), 0, 1), "more")])
def test_a_cursor_of_any_other_version_is_refused_as_one(
    store: Store, content: tuple[object, ...]
) -> None:
    with pytest.raises(RequestInvalid, match="cursor is one of another version: start again with"):
        _page(store, UserQuery(search="jane"), msgspec.msgpack.encode(content))


def test_a_cursor_that_changes_gets_another_version() -> None:
    """If this fails, raise the version of cursors and write the new one here."""
    cursor = encode_cursor(
        PagePosition(1, (0, 0, "jane", 2, 3), (4, 5), 6), UserQuery(search="jane")
    )
    assert cursor == "kwTECKwv0iR-6G26lAGVAACkamFuZQIDkgQFBg"


def _page(store: Store, query: UserQuery, content: bytes) -> None:
    cursor = urlsafe_b64encode(content).decode().rstrip("=")
    UserListing(Transactions(store)).page(query, cursor, 1)


WRONG_KEYS: list[tuple[int, tuple[str | int, ...]]] = [
    (1, ("a", 0, "b", 1, 1)),
    (1, (24, 0, "a", 1, 1)),
    (1, (0, 3, "a", 1, 1)),
    (2, ("a", "b")),
    (2, (1,)),
    (5, (0, "a", 1, 1)),
]


@pytest.mark.parametrize(("step", "key"), WRONG_KEYS)
def test_a_cursor_with_a_key_of_another_step_is_refused(
    store: Store, step: int, key: tuple[str | int, ...]
) -> None:
    query = UserQuery(search="jane")
    forged = encode_cursor(PagePosition(step, key), query)
    with pytest.raises(RequestInvalid, match="start again with an empty cursor"):
        UserListing(Transactions(store)).page(query, forged, 9)


@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_cursor_with_a_number_that_no_database_has_is_refused(store: Store, number: int) -> None:
    query = UserQuery(search="jane")
    forged = encode_cursor(PagePosition(1, (0, 0, "a", number, 1)), query)
    with pytest.raises(RequestInvalid, match="start again with an empty cursor"):
        UserListing(Transactions(store)).page(query, forged, 9)


@pytest.mark.parametrize("watermark", [(0, 0), (2**63 - 1, 2**63 - 1)])
@pytest.mark.parametrize("step", range(7))
def test_a_forged_watermark_finds_what_any_search_finds(
    store: Store, step: int, watermark: tuple[int, int]
) -> None:
    store_batches(store, [people_named("Jane", "Joe")])
    index_words(store, 100)
    query = UserQuery(search="jane")
    for key in ((), (7, 0)) if step in (1, 3, 4) else ((),):
        forged = encode_cursor(PagePosition(step, key, watermark), query)
        page = UserListing(Transactions(store)).page(query, forged, 9)
        assert {user.name for user in page.users} <= {"Jane"}


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a", "b"),
        ("az", "a{"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("", None),
    ],
)
def test_the_end_of_a_prefix_is_the_first_text_after_it(prefix: str, end: str | None) -> None:
    assert end_of(prefix) == end


@given(prefix=st.text(min_size=1, max_size=3), text=st.text(max_size=4))
@example("\ud7ff", "\ue000")
def test_a_text_is_in_the_range_of_a_prefix_if_it_begins_so(prefix: str, text: str) -> None:
    end = end_of(prefix)
    assert (prefix <= text and (end is None or text < end)) == text.startswith(prefix)


@pytest.mark.parametrize("depth", [100, 1_500])
def test_a_cursor_of_nested_arrays_is_refused(store: Store, depth: int) -> None:
    cursor = urlsafe_b64encode(b"\x92\x02" + b"\x91" * depth + b"\x90").decode().rstrip("=")
    with pytest.raises(RequestInvalid, match="start again with an empty cursor"):
        UserListing(Transactions(store)).page(UserQuery(search="a"), cursor, 1)


def test_a_cursor_is_decoded_only_up_to_its_longest_text() -> None:
    query = UserQuery(search="a")
    for letters, is_decoded in ((256, True), (4_096, False)):
        cursor = encode_cursor(PagePosition(key=("a" * letters,)), query)
        if is_decoded:
            assert decode_cursor(cursor, query).key == ("a" * letters,)
            continue
        with pytest.raises(RequestInvalid, match="is not one that a control plane has returned"):
            decode_cursor(cursor, query)
