"""Searching accounts: a step for each tier, which reads accounts by an index, block by block."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, NamedTuple

from msgspec import Meta

from anyscale.server.core.users.cursor import Key, key_of
from anyscale.server.core.users.pages import Block, Step
from anyscale.server.core.users.search_query import MAX_WORDS, SearchText, Tier, tier_of
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

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:  # noqa: ARG002 - as in Step
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


class _Driver(NamedTuple):
    """A word of the search, by whose rows in the index accounts are read."""

    #: the first word of accounts, and the first behind the last; None for no end
    first: str
    end: str | None
    only_leading: bool

    @classmethod
    def of(cls, tier: Tier, words: Sequence[str], index: int) -> "_Driver":
        """Return the driver that a tier has at an index of the words."""
        word, is_last = words[index], index == len(words) - 1
        is_whole = tier is Tier.NAME or (tier is Tier.NAME_PREFIX and not is_last)
        # The character is part of no word. The first word of a name is a leading one.
        end = f"{word}\x01" if is_whole else end_of(word)
        return cls(word, end, only_leading=tier is not Tier.WORDS and index == 0)

    @property
    def kinds(self) -> Sequence[int]:
        return (_LEADING,) if self.only_leading else (_LEADING, _OTHER)

    def rows(self, tx: Transaction, limit: int) -> int:
        """Count the rows, of each kind only up to a limit."""
        return sum(
            tx.words.count(is_leading=kind == _LEADING, first=self.first, end=self.end, limit=limit)
            for kind in self.kinds
        )

    def returns(self, row: FoundWord, user: FoundUserRecord) -> bool:
        """Whether a row returns its account, which may have several words of this driver."""
        words = words_of(user.name, user.lastname, user.email).items()
        mine = [
            (_LEADING if is_leading else _OTHER, word)
            for word, is_leading in words
            if self.first <= word and (self.end is None or word < self.end)
        ]
        return min(mine, default=(_LEADING, row.word))[1] == row.word


_LEADING, _OTHER = 0, 1

#: rows of a word that are counted at most
_COUNTED = 1_000


class _WordKey(NamedTuple):
    """A row of the index of words; without a word, the place before the first row of a kind."""

    #: the index of the driver
    driver: Annotated[int, Meta(ge=0, lt=MAX_WORDS)]
    #: leading words come first
    kind: Annotated[int, Meta(ge=_LEADING, le=_OTHER)] = _LEADING
    word: str = ""
    publication: int = 0
    position: int = 0


class _WordStep:
    """The accounts of a tier that are found by words, in the order of one word of theirs.

    They are read by one word of the search, the rarest. Accounts of which it finds a leading word
    come first.
    """

    is_slow = False

    def __init__(self, tier: Tier, choice: _Choice) -> None:
        self._tier = tier
        self._choice = choice
        words = choice.text.words
        self._drivers = [_Driver.of(tier, words, index) for index in range(len(words))]

    def read(self, tx: Transaction, key: Key, limit: int) -> Block:
        after = key_of(_WordKey, key) if key else _WordKey(self._rarest(tx))
        # A forged cursor may have a driver that the search has not.
        driver = self._drivers[after.driver % len(self._drivers)]
        rows = tx.words.range(
            is_leading=after.kind == _LEADING,
            first=driver.first,
            end=driver.end,
            after=after[2:] if after.word else None,
            watermark=self._choice.watermark,
            limit=INDEX_ROWS,
        )
        found = (
            (_WordKey(after.driver, after.kind, *row[:3]), row.user)
            for row in rows
            if row.user
            and self._choice.is_in(self._tier, row.user)
            and driver.returns(row, row.user)
        )
        return _block(found, _behind(after, driver, rows), limit)

    def _rarest(self, tx: Transaction) -> int:
        """Return the index of the driver with the fewest rows; the next pages keep it."""
        if len(self._drivers) == 1:
            return 0
        rarest, fewest = 0, _COUNTED
        for index, driver in enumerate(self._drivers):
            # No more rows are counted than the rarest word so far has: a search has up to 24 words.
            rows = driver.rows(tx, fewest)
            if rows < fewest:
                rarest, fewest = index, rows
            if not fewest:
                break
        return rarest


def _behind(after: _WordKey, driver: _Driver, rows: Sequence[FoundWord]) -> Key | None:
    if len(rows) == INDEX_ROWS:
        return _WordKey(after.driver, after.kind, *rows[-1][:3])
    return _WordKey(after.driver, _OTHER) if after.kind < driver.kinds[-1] else None


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
