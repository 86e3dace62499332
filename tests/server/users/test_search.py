"""Searches: every match once, the best first, whatever is indexed and whatever the pages are."""

import re
import unicodedata
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.stored_batches import (
    Account,
    Batch,
    Person,
    batches_of,
    impatient,
    read_all,
    repeated,
    store_batches,
)

from anyscale.api_schemas import UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.core.users import search
from anyscale.server.core.users.cursor import Position, encode_cursor
from anyscale.server.core.users.listing import UserListing
from anyscale.server.core.users.pages import BUDGET
from anyscale.server.core.users.search import end_of
from anyscale.server.store.interface import Store

#: what names and searches are made of: letters, a letter and a mark, and what separates words
LETTERS = ("a", "b", "ab", "é", "e\u0301", "ß", "ss", " ", "-", "A")

names = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=5).map("".join)
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
)


@pytest.fixture
def store(shared_store: Store) -> Store:
    return shared_store


def index(store: Store, accounts: int) -> tuple[int, int]:
    """Index the words of the first accounts; return the watermark."""
    with store.write() as tx:
        state = tx.words.lock()
        if not accounts:
            return state.watermark
        found, end = tx.words.list_unindexed(state.watermark, accounts)
        tx.words.fill(found, end, "test", 0)
        return end


# The tiers once more, from texts and without an index


def folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


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
    texts = [key, *(t.casefold() for t in (account.email, person.name, person.lastname or ""))]
    parts = wanted_words(text) or folded(text).split()
    by_words = is_indexed and wanted != ""
    tiers = [
        prefix == key,
        by_words and wanted in whole,
        key.startswith(prefix),
        by_words and any(name.startswith(wanted) for name in whole),
        by_words and all(any(word.startswith(part) for word in all_words) for part in parts),
        all(any(part in text or decomposed(part) in text for text in texts) for part in parts),
    ]
    return next((tier for tier, is_in in enumerate(tiers) if is_in), None)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text).casefold()


def passes(person: Person, query: UserQuery, *, has_provider: bool) -> bool:
    can_sign_in = person.has_password or person.is_suspended
    return (
        (person.is_suspended or not query.suspended)
        and (query.role is None or person.is_owner == (query.role == "owner"))
        and (person.is_sso_user or not query.sso)
        and not (query.without_credentials and can_sign_in)
        and not (query.without_credentials and has_provider and person.is_sso_user)
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    shared_store: Store,
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
    accounts = store_batches(shared_store, layout)
    watermark = index(shared_store, indexed)
    users = impatient(shared_store, BUDGET / blocks_a_page, has_provider=has_provider)

    first = users.page(query, "", limits[0])
    index(shared_store, later)  # what is indexed meanwhile neither repeats nor hides anybody
    found = [user.email for user in first.users]
    if first.cursor:
        rest = read_all(users, query, repeated(limits), str(first.cursor))
        found += [user.email for user in rest]

    ranks = {
        account.email: rank(account, query.search.strip(), is_indexed=account[2:] <= watermark)
        for account in accounts
        if passes(account.person, query, has_provider=has_provider)
    }
    expected = {email: tier for email, tier in ranks.items() if tier is not None}
    assert sorted(found) == sorted(expected)
    tiers = [expected[email] for email in found]
    assert tiers == sorted(tiers)


def found_by(store: Store, text: str) -> list[str]:
    users = UserListing(store, has_provider=False)
    found = read_all(users, UserQuery(search=text), repeated([100]))
    return [user.name + (f" {user.lastname}" if user.lastname else "") for user in found]


def people_named(*full_names: str) -> Batch:
    """A published batch of people; the last name is behind the last blank."""
    parts = [name.rpartition(" ") for name in full_names]
    return Batch(
        "published",
        [Person(first or last, "x", last if first else None) for first, _, last in parts],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # exact, then prefix, then words, then parts
        ("ann", ["Ann", "Jo Ann", "Anna Lee", "Annie", "Mary Ann Lee", "Joanna"]),
        ("lee ann", ["Anna Lee", "Mary Ann Lee"]),
        ("anna lee", ["Anna Lee"]),
        ("LEE, ANNA", ["Anna Lee"]),
        ("oann", ["Joanna"]),
        ("nobody", []),
    ],
)
def test_the_best_matches_come_first(store: Store, text: str, expected: list[str]) -> None:
    names = ("Joanna", "Anna Lee", "Annie", "Ann", "Mary Ann Lee", "Jo Ann")
    store_batches(store, [people_named(*names)])
    assert sorted(found_by(store, text)) == sorted(expected)  # also before any word is indexed
    index(store, 100)
    assert found_by(store, text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("Οδυσσεύς", "ΟΔΥΣΣΕΎΣ"),
        ("İpek", "i̇pek"),
        ("Ipek", "ipek"),
        ("José", "JOSE\u0301"),
        ("Jose\u0301", "josé"),
        ("李小龙", "李"),
        ("李小龙", "小"),
        ("हिन्दी", "हिन्दी"),
        ("हिन्दी", "हिन्"),
        ("Nguyễn Văn", "văn nguyễn"),
        ("O’Neil", "o’neil"),  # noqa: RUF001 - the apostrophe of names
        ("Jean-Luc", "luc jean"),
        ("D'Arcy", "arcy"),
        ("🦊 Fox", "🦊"),
        ("50%", "50%"),
        ("a_b", "_"),
        ("C++", "++"),
    ],
)
def test_names_of_every_script_are_found_indexed_or_not(store: Store, name: str, text: str) -> None:
    other = Person("Zoë", "z")
    store_batches(store, [Batch("published", [Person(name, "x"), other])])
    assert found_by(store, text) == [name]
    index(store, 100)
    assert found_by(store, text) == [name]


def test_an_email_and_an_id_are_found_at_once_indexed_or_not(store: Store) -> None:
    store_batches(store, [Batch("published", [Person("Jane", "jane"), Person("Joe", "jané")])])
    users = UserListing(store, has_provider=False)
    for _ in range(2):
        for text in ("JANE10@X.ORG", " jane10@x.org ", "usr_00000000000000000000000100000000"):
            assert users.page(UserQuery(search=text), "", 1).users[0].name == "Jane"
        assert found_by(store, "jan") == ["Jane", "Joe"]  # in the order of their emails
        assert found_by(store, "JANÉ") == ["Joe"]
        assert found_by(store, "jane10@x.o") == ["Jane"]
        assert found_by(store, "jonas@x.org") == []
        index(store, 100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jane@nobody.example", []),
        ("ann@example.com", ["Joann", "Note"]),
        ("ANN@example", ["Joann", "Note"]),
        ("joann@example.com joann", ["Joann", "Note"]),
        ("joann@example.com ann", ["Joann", "Note"]),
        ("joann@example.com jane", []),
        ("joann @x.org", ["Joann", "Note"]),
        ("maria@bücher.example", ["Maria"]),
    ],
)
def test_a_search_with_an_at_sign_looks_for_an_email_and_never_for_its_words(
    store: Store, text: str, expected: list[str]
) -> None:
    people = [
        Person("Jane", "jane.nobody.example"),
        Person("Joann", "joann@example.com"),
        Person("Note", "n", "write to joann@example.com"),
        Person("Maria", "maria@bücher.example"),
        Person("Ann", "ann.example.com"),
    ]
    store_batches(store, [Batch("published", people)])
    for _ in range(2):
        assert [name.partition(" ")[0] for name in found_by(store, text)] == expected
        index(store, 100)


_LONG_NAME = "María del Carmen de los Ángeles García López y Pérez"


@pytest.mark.parametrize("text", [_LONG_NAME, "anna-maria.von-der-heide@mail.dept.uni.example.de"])
def test_a_name_and_an_email_of_ten_words_are_found(store: Store, text: str) -> None:
    person = Person(_LONG_NAME, "anna-maria.von-der-heide@mail.dept.uni.example.de")
    store_batches(store, [Batch("published", [person, Person("María", "maria")])])
    for _ in range(2):
        assert found_by(store, text) == [_LONG_NAME]
        index(store, 100)


def test_what_an_index_finds_does_not_wait_for_a_look_at_all_accounts(store: Store) -> None:
    store_batches(store, [people_named("Jane", "Sojane")])
    index(store, 100)
    users = UserListing(store, has_provider=False)
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
    store_batches(store, [people_named(*["Common"] * 400, "Common Rare")])
    index(store, 1_000)
    blocks = count()
    users = UserListing(store, has_provider=False, clock=lambda: next(blocks) * 1e-9)
    assert [user.lastname for user in users.page(UserQuery(search=text), "", 9).users] == ["Rare"]
    assert next(blocks) <= 10  # one for each kind of word in each tier


def test_a_page_says_how_many_accounts_are_not_indexed(store: Store) -> None:
    store_batches(store, [people_named("Ann", "Bob", "Cid")])
    # The number comes from the chunks of a batch.
    users = UserListing(store, has_provider=False)
    assert users.page(UserQuery(search="ann"), "", 9).unindexed == 0
    assert not isinstance(users.page(UserQuery(), "", 9).unindexed, int)


@pytest.mark.parametrize("text", ["?!", "--", "@", "🦊", "'", "%", "\t.\n"])
def test_a_text_without_words_is_found_as_a_part(store: Store, text: str) -> None:
    store_batches(store, [people_named("Jane"), Batch("published", [Person(f"x{text}y", "z")])])
    index(store, 100)
    assert f"x{text}y" in found_by(store, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \t", "at least one character"),
        ("x" * 257, "at most 256 characters, not 257"),
        ("a " * 25, "at most 24 words, not 25: leave some out"),
        ("? " * 25, "at most 24 words, not 25: leave some out"),
        ("a@b " * 25, "at most 24 words, not 25: leave some out"),
        ("a\0b", "part of no name and no email"),
        ("\ud800", "part of no name and no email"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(store: Store, text: str, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        found_by(store, text)


_LONG = ["x" * 256, "😀" * 256, "ΐ" * 256, "q " * 24, "a@" * 128, "\U0010ffff", "é" * 200]


@pytest.mark.parametrize("text", _LONG)
def test_a_search_of_any_allowed_length_is_answered(store: Store, text: str) -> None:
    store_batches(store, [people_named("Jane")])
    index(store, 100)
    assert found_by(store, text) == []


@pytest.mark.parametrize("other", [{"email": "a"}, {"name": "a"}, {"newest_first": True}])
def test_a_search_has_an_order_of_its_own(store: Store, other: dict[str, object]) -> None:
    with pytest.raises(RequestInvalid, match="it takes no email, name or order"):
        UserListing(store, has_provider=False).page(UserQuery(search="a", **other), "", 9)  # type: ignore[arg-type]  # a mapping of the filters


@pytest.mark.parametrize(
    ("text", "name"),
    [("an", "Ann Annie"), ("an", "Jo-Anna-Annie Lee"), ("le an", "Lee-Leo Ann-Anna")],
)
def test_an_account_with_several_words_that_match_is_found_once(
    store: Store, text: str, name: str
) -> None:
    store_batches(store, [people_named(name)])
    index(store, 100)
    assert found_by(store, text) == [name]


def test_what_is_indexed_during_a_search_is_found_where_it_was(store: Store) -> None:
    store_batches(store, [people_named("Jane"), people_named("Janet", "Jane")])
    index(store, 2)
    users, query = UserListing(store, has_provider=False), UserQuery(search="jane")
    first = users.page(query, "", 1)
    second = users.page(query, str(first.cursor), 1)
    assert [user.name for user in (*first.users, *second.users)] == ["Jane", "Janet"]
    index(store, 100)
    # By its words it would be behind the first one, where this search does not look any more.
    rest = read_all(users, query, repeated([1]), str(second.cursor))
    assert [user.name for user in rest] == ["Jane"]


def test_a_name_with_words_that_are_not_stored_is_found(store: Store) -> None:
    long = " ".join(f"word{number}" for number in range(30))
    store_batches(store, [Batch("published", [Person(long, "x", "Alpha Beta Gamma")])])
    index(store, 100)
    for text in ("alpha beta gamma", "alpha", "gamma", "alpha be", "beta word0"):
        assert len(found_by(store, text)) == 1


def test_words_beyond_the_stored_ones_are_found_as_parts(store: Store) -> None:
    long = " ".join(f"word{number}" for number in range(30))
    store_batches(store, [people_named(f"{long} Lastname")])
    index(store, 100)
    for text in ("word0", "word22", "word29", "lastname", "word0 word29", long[:40]):
        assert len(found_by(store, text)) == 1


def test_an_account_of_a_deleted_user_is_not_found(store: Store) -> None:
    store_batches(store, [people_named("Jane", "Joe")])
    index(store, 100)
    with store.write() as tx:
        user_id = "usr_00000000000000000000000100000000"
        tx.accounts.lock([user_id])
        tx.accounts.delete(user_id)
    assert found_by(store, "jane") == []
    assert found_by(store, "x") == ["Joe"]


WRONG_KEYS: list[tuple[int, tuple[str | int, ...]]] = [
    (1, ("a", 0, "b", 1, 1)),
    (1, (24, 0, "a", 1, 1)),
    (1, (0, 2, "a", 1, 1)),
    (2, ("a", "b")),
    (2, (1,)),
    (5, (0, "a", 1, 1)),
]


@pytest.mark.parametrize(("step", "key"), WRONG_KEYS)
def test_a_cursor_with_a_key_of_another_step_is_refused(
    store: Store, step: int, key: tuple[str | int, ...]
) -> None:
    query = UserQuery(search="jane")
    forged = encode_cursor(Position(step, key), query)
    with pytest.raises(RequestInvalid, match="start again with an empty cursor"):
        UserListing(store, has_provider=False).page(query, forged, 9)


@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_cursor_with_a_number_that_no_database_has_is_refused(store: Store, number: int) -> None:
    query = UserQuery(search="jane")
    forged = encode_cursor(Position(1, (0, 0, "a", number, 1)), query)
    with pytest.raises(RequestInvalid, match="start again with an empty cursor"):
        UserListing(store, has_provider=False).page(query, forged, 9)


@pytest.mark.parametrize("watermark", [(0, 0), (2**63 - 1, 2**63 - 1)])
@pytest.mark.parametrize("step", range(7))
def test_a_forged_watermark_finds_what_any_search_finds(
    store: Store, step: int, watermark: tuple[int, int]
) -> None:
    store_batches(store, [people_named("Jane", "Joe")])
    index(store, 100)
    query = UserQuery(search="jane")
    for key in ((), (7, 0)) if step in (1, 3, 4) else ((),):
        forged = encode_cursor(Position(step, key, watermark), query)
        page = UserListing(store, has_provider=False).page(query, forged, 9)
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
def test_the_end_of_a_prefix_is_the_first_text_behind_it(prefix: str, end: str | None) -> None:
    assert end_of(prefix) == end


@given(prefix=st.text(min_size=1, max_size=3), text=st.text(max_size=4))
@example("\ud7ff", "\ue000")
def test_a_text_is_in_the_range_of_a_prefix_if_it_begins_so(prefix: str, text: str) -> None:
    end = end_of(prefix)
    assert (prefix <= text and (end is None or text < end)) == text.startswith(prefix)
