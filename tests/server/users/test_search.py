"""Searches: which accounts a text finds, and in which order."""

import pytest
from tests.support.databases.searches import found_by, index_words, people_named
from tests.support.databases.stored_batches import Batch, Person, store_batches

from anyscale.domain.user_query import UserQuery
from anyscale.errors import RequestInvalid
from anyscale.server.core.search import tiers
from anyscale.server.core.search.listing import UserListing
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.transaction import Store

pytestmark = pytest.mark.both_stores


@pytest.fixture
def store(shared_store: Store) -> Store:
    return shared_store


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
    index_words(store, 100)
    assert found_by(store, text) == expected


def test_blocks_of_an_index_follow_each_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "INDEX_ROWS", 3)
    names = [f"Jane Doe{number}" for number in range(10)]
    store_batches(store, [people_named(*names)])
    index_words(store, 100)
    assert sorted(found_by(store, "jane")) == sorted(names)


def test_the_last_name_may_come_first(store: Store) -> None:
    store_batches(store, [people_named("Doe Janet", "Jane Doe")])
    index_words(store, 100)
    assert found_by(store, "doe jane") == ["Jane Doe", "Doe Janet"]


def test_the_last_account_that_is_indexed_is_found_by_its_words(store: Store) -> None:
    store_batches(store, [people_named("Janet", "Jane", "Zoe")])
    index_words(store, 2)
    assert found_by(store, "jane") == ["Jane", "Janet"]


def test_the_id_of_an_account_finds_it_in_either_case(store: Store) -> None:
    store_batches(store, [people_named("Ann", "Joe")])
    (ann,) = UserListing(Transactions(store)).page(UserQuery(search="ann"), "", 10).users
    for text in (ann.user_id, ann.user_id.upper()):
        found = UserListing(Transactions(store)).page(UserQuery(search=text), "", 10).users
        assert [user.user_id for user in found] == [ann.user_id]


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
        # plain Latin letters, and the spelling without umlauts
        *(("Müller", text) for text in ("muller", "mueller", "müller", "MUELL", "ulle", "uelle")),
        ("Jörg von Müller", "muller joerg"),
        ("Jose\u0301", "jose"),
        ("Łukasz Ørsted", "lukasz oersted"),
        ("Љубљана-Ñandú", "nandu"),
        *(("I\u015f\u0131k K\u0131l\u0131ç", text) for text in ("isik", "KILIÇ", "ilic")),
        *(("I\u015f\u0131k", text) for text in ("\u0131\u015f\u0131k", "I\u015eIK")),
        *(("Νίκος", text) for text in ("νικος", "ΝΙΚΟΣ", "νίκος", "ικο")),
        ("李小龙", "李"),
        ("李小龙", "小"),
        ("हिन्दी", "हिन्दी"),
        ("हिन्दी", "हिन्"),
        ("Nguyễn Văn", "văn nguyễn"),
        ("Nguy\u00ea\u0303n", "nguyễn"),
        ("Nguyễn", "NGUY\u00ca\u0303N"),
        ("Nguye\u0302\u0303n", "uy\u00ea\u0303n"),
        ("Ϊ\u0301", "ΐ"),
        ("ΐ", "ϊ\u0301"),
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
    index_words(store, 100)
    assert found_by(store, text) == [name]


def test_an_email_and_an_id_are_found_at_once_indexed_or_not(store: Store) -> None:
    store_batches(store, [Batch("published", [Person("Jane", "jane"), Person("Joe", "jané")])])
    users = UserListing(Transactions(store))
    for _ in range(2):
        for text in ("JANE10@X.ORG", " jane10@x.org ", "usr_00000000000000000000000100000000"):
            assert users.page(UserQuery(search=text), "", 1).users[0].name == "Jane"
        assert found_by(store, "jan") == ["Jane", "Joe"]  # in the order of their emails
        assert found_by(store, "JANÉ") == ["Joe"]
        assert found_by(store, "jane10@x.o") == ["Jane"]
        assert found_by(store, "jonas@x.org") == []
        index_words(store, 100)


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
        # as mail programs copy an address
        ("Jo Ann <joann@example.com>", ["Joann", "Note"]),
        ('"Ann, Jo" < JOANN@example.com > ', ["Joann", "Note"]),
        ("<joann@>", ["Joann", "Note"]),
        ("<joann@example.com>", ["Joann", "Note"]),
        ("joann@example.com,", ["Joann", "Note"]),
        ("Jo Ann <joann@example.com>; ", ["Joann", "Note"]),
        ("mailto:joann@example.com", ["Joann", "Note"]),
        ("MAILTO:joann@example.com?subject=to%20jane@nobody.example", ["Joann", "Note"]),
        ("Jo Ann <mailto:joann@example.com>,", ["Joann", "Note"]),
        ("Nobody <nobody@example.com>", []),
        ("<joann@example.com> Jane", []),
        ("a <b <joann@example.com>", ["Joann", "Note"]),
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
        index_words(store, 100)


_LONG_NAME = "María del Carmen de los Ángeles García López y Pérez"


@pytest.mark.parametrize("text", [_LONG_NAME, "anna-maria.von-der-heide@mail.dept.uni.example.de"])
def test_a_name_and_an_email_of_ten_words_are_found(store: Store, text: str) -> None:
    person = Person(_LONG_NAME, "anna-maria.von-der-heide@mail.dept.uni.example.de")
    store_batches(store, [Batch("published", [person, Person("María", "maria")])])
    for _ in range(2):
        assert found_by(store, text) == [_LONG_NAME]
        index_words(store, 100)


@pytest.mark.parametrize("text", ["?!", "--", "@", "🦊", "'", "%", "\t.\n"])
def test_a_text_without_words_is_found_as_a_part(store: Store, text: str) -> None:
    store_batches(store, [people_named("Jane"), Batch("published", [Person(f"x{text}y", "z")])])
    index_words(store, 100)
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
        ("\ud800", "is not UTF-8 text"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(store: Store, text: str, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        found_by(store, text)


_LONG = ["x" * 256, "😀" * 256, "ΐ" * 256, "q " * 24, "a@" * 128, "\U0010ffff", "é" * 200]


@pytest.mark.parametrize("text", _LONG)
def test_a_search_of_any_allowed_length_is_answered(store: Store, text: str) -> None:
    store_batches(store, [people_named("Jane")])
    index_words(store, 100)
    assert found_by(store, text) == []


@pytest.mark.parametrize("other", [{"email": "a"}, {"name": "a"}, {"newest_first": True}])
def test_a_search_has_an_order_of_its_own(store: Store, other: dict[str, object]) -> None:
    with pytest.raises(RequestInvalid, match=r"^search .*: leave out (email|name|order)$"):
        UserListing(store).page(UserQuery(search="a", **other), "", 9)  # type: ignore[arg-type]  # a mapping of the filters


@pytest.mark.parametrize(
    ("text", "name"),
    [("an", "Ann Annie"), ("an", "Jo-Anna-Annie Lee"), ("le an", "Lee-Leo Ann-Anna")],
)
def test_an_account_with_several_words_that_match_is_found_once(
    store: Store, text: str, name: str
) -> None:
    store_batches(store, [people_named(name)])
    index_words(store, 100)
    assert found_by(store, text) == [name]


def test_a_name_with_words_that_are_not_stored_is_found(store: Store) -> None:
    long = " ".join(f"word{number}" for number in range(30))
    store_batches(store, [Batch("published", [Person(long, "x", "Alpha Beta Gamma")])])
    index_words(store, 100)
    for text in ("alpha beta gamma", "alpha", "gamma", "alpha be", "beta word0"):
        assert len(found_by(store, text)) == 1


def test_words_beyond_the_stored_ones_are_found_as_parts(store: Store) -> None:
    long = " ".join(f"word{number}" for number in range(30))
    store_batches(store, [people_named(f"{long} Lastname")])
    index_words(store, 100)
    for text in ("word0", "word22", "word29", "lastname", "word0 word29", long[:40]):
        assert len(found_by(store, text)) == 1


def test_an_account_of_a_deleted_user_is_not_found(store: Store) -> None:
    store_batches(store, [people_named("Jane", "Joe")])
    index_words(store, 100)
    with store.write() as tx:
        user_id = "usr_00000000000000000000000100000000"
        tx.accounts.lock([user_id])
        tx.accounts.delete(user_id)
    assert found_by(store, "jane") == []
    assert found_by(store, "x") == ["Joe"]
