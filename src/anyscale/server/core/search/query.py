"""The text of a search, and the tier where it finds an account.

The tiers are in the order in which a search returns accounts. docs/decisions/0017-search.md
explains them.
"""

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum

from msgspec import Struct

from anyscale.domain.emails import email_key, email_prefix_key
from anyscale.domain.external_ids import normalized_external_id
from anyscale.errors import RequestInvalid
from anyscale.server.store.records.search import FoundUserRecord, IndexPlace
from anyscale.server.store.words import (
    MOST_WORDS,
    fold,
    forms_of,
    searchable,
    split_words,
    words_of,
)

#: Words of a search, at most: the index keeps no more of an account.
MAX_WORDS = MOST_WORDS


class Tier(IntEnum):
    """How well an account matches a search."""

    #: the text is the email, the id or the external id
    EXACT = 0
    #: the text is the name, the last name or both, word by word
    NAME = 1
    #: the email begins with the text
    EMAIL_PREFIX = 2
    #: the name, the last name or both begin with the text
    NAME_PREFIX = 3
    #: each word is the beginning of a word of the account
    WORDS = 4
    #: each word is a part of a text of the account
    PART = 5


class SearchText(Struct, frozen=True):
    """The text of a search, as each tier compares it."""

    #: empty if the text is not an email
    email_key: str
    email_prefix: str
    user_id: str
    external_id: str
    #: none if the search has an `@`
    words: Sequence[str]
    #: the texts that each account of the last tier contains
    parts: Sequence[str]

    @classmethod
    def parse(cls, text: str) -> "SearchText":
        """Read the text of a search.

        Raises:
            RequestInvalid: it has too many words.
        """
        external_id = normalized_external_id(text.strip())
        text = _address_of(text.strip())
        folded = fold(text)
        # A caller who writes an email looks for its user, and not for all users of its domain.
        words = [] if "@" in text else split_words(folded)
        terms = words or folded.split()
        if len(terms) > MAX_WORDS:
            raise RequestInvalid(
                f"search for at most {MAX_WORDS} words, not {len(terms)}: leave some out"
            )
        parts = list(dict.fromkeys(terms))
        ids = text.lower(), external_id
        return cls(_key_of(text), email_prefix_key(text), *ids, words, parts)


def _address_of(text: str) -> str:
    """Return the email in a text that a mail program has copied; any other text unchanged.

    `Jane Doe <jane@example.com>,` or `mailto:jane@example.com?subject=Hello` (RFC 6068).
    """
    if "@" not in text:
        return text
    text = text.rstrip(",; ")
    if found := _name_and_email(text):
        text = found[1].strip()
    found = _link(text)
    return found[1] if found else text


_name_and_email = re.compile(r"<([^<>]*@[^<>]*)>\Z").search
_link = re.compile(r"mailto:([^?]*@[^?]*)", re.IGNORECASE).match


def _key_of(text: str) -> str:
    try:
        return email_key(text)
    except ValueError:
        return ""


def tier_of(user: FoundUserRecord, text: SearchText, watermark: IndexPlace) -> Tier | None:
    """Return the first tier where an account is found; None if it does not match.

    It depends only on the account and the arguments. So each tier can leave out the accounts of
    the earlier ones, without knowing what these have returned.

    Args:
        user: the account.
        text: the search.
        watermark: accounts up to it are found by their words, later ones only by parts.
    """
    is_id = text.user_id == user.user_id or text.external_id == user.external_id
    if is_id or user.email_key == text.email_key:
        return Tier.EXACT
    by_words = bool(text.words) and user.place <= watermark
    by_name = _name_tier(user, text) if by_words else None
    if by_name is Tier.NAME:
        return by_name
    if user.email_key.startswith(text.email_prefix):
        return Tier.EMAIL_PREFIX
    if by_name is not None:
        return by_name
    if by_words and _has_words(user, text):
        return Tier.WORDS
    return Tier.PART if _has_parts(user, text.parts) else None


def _name_tier(user: FoundUserRecord, text: SearchText) -> Tier | None:
    tier = None
    first, last = split_words(fold(user.name)), split_words(fold(user.lastname or ""))
    for name in _names(first, last):
        if _is_prefix(text.words, name):
            # The index lacks words of a long name, and does not find it by them.
            is_long = len(first) + len(last) > MOST_WORDS
            if is_long and not _words_of(user).keys() >= set(name[: len(text.words)]):
                continue
            if len(name) == len(text.words) and text.words[-1] in forms_of(name[-1]):
                return Tier.NAME
            tier = Tier.NAME_PREFIX
    return tier


def _names(first: Sequence[str], last: Sequence[str]) -> Iterator[Sequence[str]]:
    """Generate the words of the name, of the last name and of both in either order."""
    yield first
    if last:
        yield last
        yield [*first, *last]
        yield [*last, *first]


def _is_prefix(words: Sequence[str], name: Sequence[str]) -> bool:
    end = len(words) - 1
    return len(name) > end and _begins_with(name[end], words[end]) and _are_forms(words[:end], name)


def _begins_with(own: str, word: str) -> bool:
    # A search for one letter compares thousands of names, and an ASCII word has no other form.
    return own.startswith(word) or (
        not own.isascii() and any(form.startswith(word) for form in forms_of(own))
    )


def _are_forms(words: Sequence[str], name: Sequence[str]) -> bool:
    return not words or all(word in forms_of(own) for word, own in zip(words, name, strict=False))


def _has_words(user: FoundUserRecord, text: SearchText) -> bool:
    words = _words_of(user)
    return all(any(word.startswith(wanted) for word in words) for wanted in text.words)


def _words_of(user: FoundUserRecord) -> dict[str, int]:
    return words_of(user.name, user.lastname, user.email)


def _has_parts(user: FoundUserRecord, parts: Sequence[str]) -> bool:
    texts = [user.email_key, *map(searchable, (user.email, user.name, user.lastname or ""))]
    return all(any(part in text for text in texts) for part in parts)
