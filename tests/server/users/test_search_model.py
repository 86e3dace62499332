"""Searches, compared with brute force: every match once, the best first, whatever is indexed."""

import re
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.databases.searches import index_words
from tests.support.databases.stored_batches import (
    DAYS,
    Account,
    Batch,
    Person,
    batches_of,
    impatient,
    read_all,
    repeated,
    store_batches,
)

from anyscale.domain.user_query import UserQuery
from anyscale.server.core.search import pages
from anyscale.server.core.search import tiers as search
from anyscale.server.core.search.pages import BUDGET
from anyscale.server.store.transaction import Store

pytestmark = pytest.mark.both_stores

#: what names and searches are made of: letters, a letter and a mark, and what separates words
LETTERS = ("a", "b", "ab", "é", "e\u0301", "ê\u0303", "ễ", "Ϊ\u0301", "ΐ", "ß", "ss", " ", "-", "A")
#: a name of more words than the index keeps
LONG = "b " * 13 + "a " * 13

names = st.lists(st.sampled_from((*LETTERS, LONG)), min_size=1, max_size=5).map("".join)
batches = batches_of(
    name=names,
    lastname=st.none() | names,
    email=st.text("xbé.", min_size=1, max_size=3).filter(lambda text: text[0] != "."),
)
queries = st.builds(
    UserQuery,
    search=st.lists(st.sampled_from((*LETTERS, "a10", "@x.org", ".")), min_size=1, max_size=5)
    .map("".join)
    .filter(str.strip),
    suspended=st.sampled_from([False, False, True]),
    role=st.sampled_from([None, None, "owner", "collaborator"]),
    sso=st.sampled_from([False, False, True]),
    without_credentials=st.sampled_from([False, False, True]),
    without_second_factor=st.sampled_from([False, False, True]),
    not_since=st.none() | DAYS,
)


# The tiers once more, from texts and without an index


#: the tier of parts of words, which looks at all accounts
PARTS = 5


def folded(text: str) -> str:
    text = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", text)


def words(text: str) -> list[str]:
    return re.sub(r"[^\w]|_", " ", folded(text)).split()


def wanted_words(text: str) -> list[str]:
    """The words of a search: none if it looks for an email."""
    return [] if "@" in text else words(text)


def rank(account: Account, text: str, *, is_indexed: bool) -> int | None:
    """The first tier in which a search finds an account."""
    person, key = account.person, account.email.lower()
    first, last = " ".join(words(person.name)), " ".join(words(person.lastname or ""))
    wanted = " ".join(wanted_words(text))
    whole = [name.strip() for name in (first, last, f"{first} {last}", f"{last} {first}")]
    prefix = unicodedata.normalize("NFC", text).lower()
    all_words = [*words(person.name), *words(person.lastname or ""), *words(account.email)]
    texts = [key, *map(folded, (account.email, person.name, person.lastname or ""))]
    parts = wanted_words(text) or folded(text).split()
    by_words = is_indexed and wanted != ""
    tiers = [
        prefix == key,
        by_words and wanted in whole,
        key.startswith(prefix),
        by_words and any(name.startswith(wanted) for name in whole),
        by_words and all(any(word.startswith(part) for word in all_words) for part in parts),
        all(any(part in text for text in texts) for part in parts),
    ]
    return next((tier for tier, is_in in enumerate(tiers) if is_in), None)


def passes(person: Person, query: UserQuery, *, has_provider: bool) -> bool:
    can_sign_in = person.has_password or person.is_suspended
    return (
        (person.is_suspended or not query.suspended)
        and (query.role is None or person.is_owner == (query.role == "owner"))
        and (person.is_sso_user or not query.sso)
        and not (query.without_credentials and can_sign_in)
        and not (query.without_credentials and has_provider and person.is_sso_user)
        and not (query.without_second_factor and (person.has_second_factor or person.is_suspended))
        and not (query.not_since and person.last_day and person.last_day >= query.not_since)
    )


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    layout=st.lists(batches, min_size=1, max_size=4),
    query=queries,
    indexed=st.integers(0, 12),
    later=st.integers(0, 12),
    limits=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    rows=st.integers(1, 5),
    blocks_a_page=st.sampled_from([0.5, 2.5, 1000.0]),
    has_provider=st.booleans(),
)
def test_a_search_finds_each_match_once_and_the_best_first(
    shared_stores: Sequence[Store],
    monkeypatch: pytest.MonkeyPatch,
    layout: list[Batch],
    query: UserQuery,
    indexed: int,
    later: int,
    limits: list[int],
    rows: int,
    blocks_a_page: float,
    has_provider: bool,
) -> None:
    for name in ("INDEX_ROWS", "SCAN_ROWS"):
        monkeypatch.setattr(search, name, rows)
    accounts = store_batches(shared_stores[0], layout)
    watermark = index_words(shared_stores[0], indexed)
    users = impatient(shared_stores[has_provider], BUDGET / blocks_a_page)
    monkeypatch.setattr(pages, "BLOCKS", blocks_a_page)

    first = users.page(query, "", limits[0])
    index_words(
        shared_stores[0], later
    )  # what is indexed meanwhile neither repeats nor hides anybody
    found = [user.email for user in first.users]
    if first.cursor:
        rest = read_all(users, query, repeated(limits), str(first.cursor))
        found += [user.email for user in rest]

    ranks = {
        account.email: rank(
            account, (query.search or "").strip(), is_indexed=account[2:] <= watermark
        )
        for account in accounts
        if passes(account.person, query, has_provider=has_provider)
    }
    expected = {email: tier for email, tier in ranks.items() if tier is not None}
    assert sorted(found) == sorted(expected)
    tiers = [expected[email] for email in found]
    assert tiers == sorted(tiers)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(
    layout=st.lists(batches, min_size=1, max_size=4),
    query=queries,
    indexed=st.integers(0, 24),
    limit=st.integers(1, 7),
    rows=st.integers(1, 5),
)
def test_each_page_is_full_while_the_index_has_matches(
    shared_stores: Sequence[Store],
    monkeypatch: pytest.MonkeyPatch,
    layout: list[Batch],
    query: UserQuery,
    indexed: int,
    limit: int,
    rows: int,
) -> None:
    for name in ("INDEX_ROWS", "SCAN_ROWS"):
        monkeypatch.setattr(search, name, rows)
    monkeypatch.setattr(pages, "BLOCKS", 10_000)
    accounts = store_batches(shared_stores[0], layout)
    watermark = index_words(shared_stores[0], indexed)
    users = impatient(shared_stores[0], 2 * BUDGET)  # a part of a word costs a page its time
    text = (query.search or "").strip()
    by_index = {
        account.email
        for account in accounts
        if rank(account, text, is_indexed=account[2:] <= watermark) not in (None, PARTS)
        and passes(account.person, query, has_provider=False)
    }

    found, cursor = list[str](), ""
    while len(found) < len(by_index):
        page = users.page(query, cursor, limit)
        assert len(page.users) == min(limit, len(by_index) - len(found))
        found += [user.email for user in page.users]
        cursor = str(page.cursor)

    assert set(found) == by_index
