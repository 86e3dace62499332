"""Searching accounts: a step for each tier, which reads accounts by an index, block by block."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, NamedTuple

from msgspec import Meta

from anyscale.server.core.users.cursor import Key, key_of
from anyscale.server.core.users.pages import Block, Step
from anyscale.server.core.users.search_query import SearchText, Tier, tier_of
from anyscale.server.store.interface import Transaction
from anyscale.server.store.search_records import FoundUserRecord, FoundWord, Place
from anyscale.server.store.sql.user_scan import Filters, Scan
from anyscale.server.store.words import words_of

__all__ = ["INDEX_ROWS", "SCAN_ROWS", "end_of", "search_steps"]

#: rows of a block: of an index, and of all accounts
INDEX_ROWS = 200
SCAN_ROWS = 2_000


def search_steps(text: SearchText, filters: Filters, watermark: Place) -> Sequence[Step]:
    """Return the steps of a search, one for each tier and in their order."""
    choice = _Choice(text, filters, watermark)
    if not text.words:
        return [_ExactStep(choice), _EmailStep(choice), _PartStep(choice)]
    return [
        _ExactStep(choice),
        _WordStep(Tier.NAME, choice),
        _EmailStep(choice),
        _WordStep(Tier.NAME_PREFIX, choice),
        _WordStep(Tier.WORDS, choice),
        _PartStep(choice),
    ]


class _Choice(NamedTuple):
    """Which accounts a search returns."""

    text: SearchText
    filters: Filters
    watermark: Place

    def is_in(self, tier: Tier, user: FoundUserRecord) -> bool:
        """Whether a tier returns an account: no earlier one does, and the filters let it pass."""
        return self._passes(user) and tier_of(user, self.text, self.watermark) is tier

    def _passes(self, user: FoundUserRecord) -> bool:
        filters = self.filters
        return (
            (not filters.suspended or user.suspended_at is not None)
            and filters.role in ("", user.permission_level)
            and (not filters.sso or user.is_sso_user)
            and (not filters.without_credentials or not self._has_credentials(user))
        )

    def _has_credentials(self, user: FoundUserRecord) -> bool:
        has_sso = user.is_sso_user and self.filters.has_provider
        return user.has_password or has_sso or user.suspended_at is not None


class _ExactStep:
    """The account with an email or an id."""

    is_slow = False

    def __init__(self, choice: _Choice) -> None:
        self._choice = choice

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:  # noqa: ARG002 - one block
        text = self._choice.text
        users = tx.found_users.get(text.email_key, text.user_id)
        found = [user for user in users if self._choice.is_in(Tier.EXACT, user)]
        return Block([((user.user_id,), user) for user in found], None)


class _EmailStep:
    """The accounts whose email begins with a text, by email, whatever words are indexed."""

    is_slow = False

    def __init__(self, choice: _Choice) -> None:
        self._choice = choice

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:
        prefix = self._choice.text.email_prefix
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.found_users.by_email(prefix, end_of(prefix), after, INDEX_ROWS)
        found = (
            ((user.email_key,), user)
            for user in block.users
            if self._choice.is_in(Tier.EMAIL_PREFIX, user)
        )
        return _block(found, None if block.end is None else (block.end,), limit)


class _WordKey(NamedTuple):
    """A row of the index of words; without a word, the place before the first row of a kind."""

    #: 0 for leading words, 1 for the others
    kind: Annotated[int, Meta(ge=0, le=1)]
    word: str = ""
    publication: int = 0
    position: int = 0


class _WordStep:
    """The accounts of a tier that are found by words, in the order of one word of theirs.

    They are those that have the driver: the longest word of the search, or its beginning. Accounts
    with a leading word of this kind come first.
    """

    is_slow = False

    def __init__(self, tier: Tier, choice: _Choice) -> None:
        self._tier = tier
        self._choice = choice
        words, driver = choice.text.words, choice.text.driver
        self._first = words[driver]
        is_whole = tier is Tier.NAME or (tier is Tier.NAME_PREFIX and driver < len(words) - 1)
        # This character is part of no word.
        self._end = f"{self._first}\x01" if is_whole else end_of(self._first)
        # The first word of a name is a leading one.
        self._only_leading = tier is not Tier.WORDS and driver == 0

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:
        after = key_of(_WordKey, key) if key else _WordKey(0)
        rows = tx.words.range(
            is_leading=after.kind == 0,
            first=self._first,
            end=self._end,
            after=after[1:] if after.word else None,
            watermark=self._choice.watermark,
            limit=INDEX_ROWS,
        )
        found = (
            (_WordKey(after.kind, row.word, row.publication, row.position), row.user)
            for row in rows
            if row.user and self._returns(row, row.user)
        )
        return _block(found, self._behind(after.kind, rows), limit)

    def _behind(self, kind: int, rows: Sequence[FoundWord]) -> Key | None:
        if len(rows) == INDEX_ROWS:
            last = rows[-1]
            return _WordKey(kind, last.word, last.publication, last.position)
        return None if kind == 1 or self._only_leading else _WordKey(1)

    def _returns(self, row: FoundWord, user: FoundUserRecord) -> bool:
        """Whether a row returns its account, which may have several words of this kind."""
        words = words_of(user.name, user.lastname, user.email).items()
        of_kind = [
            (0 if is_leading else 1, word) for word, is_leading in words if self._reads(word)
        ]
        first = min(of_kind, default=(0, row.word))
        return first[1] == row.word and self._choice.is_in(self._tier, user)

    def _reads(self, word: str) -> bool:
        return self._first <= word and (self._end is None or word < self._end)


class _PartStep:
    """The accounts that contain the texts of the search anywhere, in the order of creation."""

    is_slow = True

    def __init__(self, choice: _Choice) -> None:
        self._choice = choice
        self._scan = Scan(choice.filters, choice.text.parts)

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.user_scan.read(
            FoundUserRecord, self._scan, after, rows=SCAN_ROWS, limit=INDEX_ROWS
        )
        found = (
            ((user.user_id,), user) for user in block.users if self._choice.is_in(Tier.PART, user)
        )
        return _block(found, None if block.end is None else (block.end,), limit)


def _block(found: Iterable[tuple[Key, FoundUserRecord]], end: Key | None, limit: int) -> Block:
    """Return a block; of its accounts no more are looked at than a page has room for."""
    # One more tells whether the block ends behind the last one.
    return Block(list(islice(found, limit + 1)), end)


def end_of(prefix: str) -> str | None:
    """Return the first text behind all that begin with a prefix; None if there is no such text."""
    for at in range(len(prefix) - 1, -1, -1):
        if (code := ord(prefix[at])) < _LAST_CHARACTER:
            # Surrogates are no characters.
            following = _AFTER_SURROGATES if code + 1 == _FIRST_SURROGATE else code + 1
            return prefix[:at] + chr(following)
    return None


_LAST_CHARACTER, _FIRST_SURROGATE, _AFTER_SURROGATES = 0x10FFFF, 0xD800, 0xE000
