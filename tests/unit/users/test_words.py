"""The words by which an account is found."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anyscale.server.store.words import (
    LEADING,
    MOST_WORDS,
    OF_EMAIL,
    OF_NAME,
    fold,
    forms_of,
    split_words,
    words_of,
)

TEXTS = st.text(max_size=60)
#: texts with letters whose case and composition differ, and with what separates words
TYPICAL = st.text(
    st.sampled_from("aAéÉêßςΣΪ\u0303\u03c3İ\u0131ﬁ\u0301\u0345 .-_@+'\u200b\u00a0٣9ก"), max_size=20
)


@pytest.mark.parametrize(
    ("account", "leading", "of_name", "of_email"),
    [
        (("Jane", "Doe", "j.doe@example.com"), ["jane", "doe"], [], ["j", "example", "com"]),
        (("Anna-Lena", None, "al@x.org"), ["anna"], ["lena"], ["al", "x", "org"]),
        (("Jane Mary", "O'Brien", "j@x.org"), ["jane", "o"], ["mary", "brien"], ["j", "x", "org"]),
        (
            ("JÖRG", "Straße", "j@bücher.de"),
            ["jörg", "jorg", "joerg", "strasse"],
            [],
            ["j", "bücher", "bucher", "buecher", "de"],
        ),
        (("Jane", "JANE", "Jane@jane.jane"), ["jane"], [], []),
        (("...", "-", "a+b_c@x.org"), [], [], ["a", "b", "c", "x", "org"]),
        (("山田 太郎", None, "t@x.org"), ["山田"], ["太郎"], ["t", "x", "org"]),
        # a vowel sign and a virama are marks: they split no word
        (("हिन्दी", None, "h@x.org"), ["हिन्दी"], [], ["h", "x", "org"]),
    ],
)
def test_an_account_has_the_words_of_its_name_lastname_and_email(
    account: tuple[str, str | None, str],
    leading: list[str],
    of_name: list[str],
    of_email: list[str],
) -> None:
    expected = dict.fromkeys(leading, LEADING) | dict.fromkeys(of_name, OF_NAME)
    expected |= dict.fromkeys(of_email, OF_EMAIL)
    assert list(words_of(*account).items()) == list(expected.items())


def test_a_long_name_leaves_the_leading_word_of_the_lastname_its_place() -> None:
    name = " ".join(f"n{number}" for number in range(40))
    words = words_of(name, "Doe", "jane@x.org")
    assert len(words) == MOST_WORDS
    assert list(words)[:3] == ["n0", "doe", "n1"]


@given(TEXTS | TYPICAL)
@example("I\u0307stanbul")
def test_two_compositions_of_a_text_fold_to_one(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(text)


@given(TEXTS | TYPICAL)
@example("\u03aa\u0301")
@example("Nguy\u00ea\u0303n")
def test_a_folded_text_is_composed_and_folds_to_itself(text: str) -> None:
    folded = fold(text)
    assert folded == unicodedata.normalize("NFC", folded)
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nguy\u00ea\u0303n", "Nguy\u1ec5n"),
        ("Nguye\u0302\u0303n", "NGUY\u1ec4N"),
        ("\u03aa\u0301", "\u0390"),
        ("Jose\u0301", "JOS\u00c9"),
    ],
)
def test_mixed_spellings_of_a_text_fold_to_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(TEXTS | TYPICAL)
def test_a_text_is_split_at_separators_punctuation_symbols_and_others(text: str) -> None:
    words = split_words(text.casefold())
    kinds = {unicodedata.category(character)[0] for word in words for character in word}
    assert kinds <= set("LMN")
    # Nothing but separators is lost.
    kept = [c for c in text.casefold() if unicodedata.category(c)[0] in "LMN"]
    assert "".join(words) == "".join(kept)


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_an_ascii_text_is_split_as_any_other_one(text: str) -> None:
    folded = fold(text)
    assert split_words(folded) == split_words(f"{folded} é")[:-1]
    assert split_words(folded) == re.findall(r"[0-9a-z]+", folded)


@given(TYPICAL | TEXTS, st.none() | TYPICAL, TYPICAL)
def test_every_word_is_part_of_a_folded_text_and_each_leading_one_begins_one(
    name: str, lastname: str | None, email: str
) -> None:
    words = words_of(name, lastname, email)
    assert len(words) <= 3 * MOST_WORDS  # with the plain forms
    parts = [split_words(fold(text or "")) for text in (name, lastname, email)]
    assert set(words) <= {form for part in parts for word in part for form in forms_of(word)}
    leading = {word for word, kind in words.items() if kind == LEADING}
    assert leading == {form for part in parts[:2] for word in part[:1] for form in forms_of(word)}
    of_name = {form for part in parts[:2] for word in part for form in forms_of(word)}
    assert {word for word, kind in words.items() if kind != OF_EMAIL} <= of_name
    assert {word for word, kind in words.items() if kind == OF_EMAIL}.isdisjoint(of_name)


def test_latin_and_greek_letters_have_plain_forms_and_others_have_none() -> None:
    assert forms_of("müssig") == ["müssig", "mussig", "muessig"]
    assert forms_of("й") == ["й"]
    assert forms_of("νίκος") == ["νίκος", "νικος"]
