"""Search accounts: a step for each tier reads accounts by an index, block by block."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, NamedTuple

from msgspec import Meta

from anyscale.server.core.search.cursor import Key, key_of
from anyscale.server.core.search.pages import BLOCKS, Step, StepBlock
from anyscale.server.core.search.query import MAX_WORDS, SearchText, Tier, tier_of
from anyscale.server.store.records.search import (
    Filters,
    FoundUserRecord,
    FoundWord,
    IndexPlace,
    Scan,
)
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import is_id_of
from anyscale.server.store.words import LEADING, OF_EMAIL, OF_NAME, words_of

#: rows of a block that is read by an index
INDEX_ROWS = 200
#: rows of a block of the last tier, which looks at all accounts
SCAN_ROWS = 2_000


def search_steps(
    text: SearchText, filters: Filters, watermark: IndexPlace
) -> Sequence[Step[FoundUserRecord]]:
    """Return the steps of a search, one for each tier and in their order."""
    criteria = _Criteria(text, filters, watermark)
    if not text.words:
        return [
            _ExactStep(criteria),
            _EmailStep(criteria),
            _FormerEmailStep(criteria),
            _PartStep(criteria),
        ]
    return [
        _ExactStep(criteria),
        _WordStep(Tier.NAME, criteria),
        _EmailStep(criteria),
        _WordStep(Tier.NAME_PREFIX, criteria),
        _WordStep(Tier.WORDS, criteria),
        _FormerEmailStep(criteria),
        _PartStep(criteria),
    ]


class _Criteria(NamedTuple):
    """Which accounts a search returns."""

    text: SearchText
    filters: Filters
    watermark: IndexPlace

    def is_found_in(self, tier: Tier | None, user: FoundUserRecord) -> bool:
        """Return whether an account passes the filters, and this tier is the first to find it.

        None stands for no tier.
        """
        if not passes(user, self.filters):
            return False
        return tier_of(user, self.text, self.watermark) is tier


def passes(user: FoundUserRecord, filters: Filters) -> bool:
    """Return whether an account passes the filters, other than those by email and name."""
    return (
        (not filters.suspended or user.suspended_at is not None)
        and filters.role in ("", user.permission_level)
        and (not filters.sso or user.is_sso_user)
        and (not filters.without_credentials or user.without_credentials)
        and (not filters.without_second_factor or user.without_second_factor)
        and not _has_signed_in(user, filters.not_since)
        and filters.sign_in in ("", user.sign_in)
        and (not filters.batch_id or is_id_of(filters.batch_id, user.user_id))
    )


def _has_signed_in(user: FoundUserRecord, since: int | None) -> bool:
    """Return whether the last sign-in was at a time or since; False for no time."""
    return since is not None and user.last_sign_in is not None and user.last_sign_in >= since


class _ExactStep:
    """The accounts with an email, an id or an external id: there may be one of each."""

    is_slow = False

    def __init__(self, criteria: _Criteria) -> None:
        self._criteria = criteria

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[FoundUserRecord]:
        text = self._criteria.text
        (after,) = key_of(tuple[str], key) if key else ("",)
        users = tx.searched_users.get(text.email_key, text.user_id, text.external_id)
        by_id = {user.user_id: user for user in users}  # an external id may be the email
        ids = list(by_id)
        found = (
            ((user_id,), by_id[user_id])
            for user_id in ids[ids.index(after) + 1 if after in by_id else 0 :]
            if self._criteria.is_found_in(Tier.EXACT, by_id[user_id])
        )
        return _block(found, None, limit)


class _EmailStep:
    """The accounts whose email begins with the text, by email. It needs no index of words."""

    is_slow = False

    def __init__(self, criteria: _Criteria) -> None:
        self._criteria = criteria

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[FoundUserRecord]:
        prefix = self._criteria.text.email_prefix
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.searched_users.by_email(prefix, end_of(prefix), after, INDEX_ROWS)
        found = (
            ((user.email_key,), user)
            for user in block.users
            if self._criteria.is_found_in(Tier.EMAIL_PREFIX, user)
        )
        return _block(found, None if block.end is None else (block.end,), limit)


class _FormerEmailStep:
    """The accounts that no tier finds, and one of whose former emails begins with the text."""

    is_slow = False

    def __init__(self, criteria: _Criteria) -> None:
        self._criteria = criteria

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[FoundUserRecord]:
        text = self._criteria.text
        after = key_of(tuple[str, str], key) if key else ("", "")
        prefix = text.email_prefix
        rows = tx.searched_users.by_former_email(prefix, end_of(prefix), after, INDEX_ROWS)
        keys = [(email_key, user.user_id) for email_key, user in rows]
        found = (
            (key, user)
            for key, (_, user) in zip(keys, rows, strict=True)
            if self._criteria.is_found_in(None, user)
        )
        return _block(found, keys[-1] if len(rows) == INDEX_ROWS else None, limit)


class _Driver(NamedTuple):
    """The word of a search that accounts are read by; the other words are compared afterwards.

    It is a range of the words in the index.
    """

    first: str
    #: the first word after the range; None for no end
    end: str | None
    #: the kinds of the words of accounts that match
    kinds: Sequence[int]
    #: the other words of the search
    others: Sequence[str] = ()

    @classmethod
    def of(cls, tier: Tier, words: Sequence[str], index: int) -> "_Driver":
        """Return the driver that a tier has at an index of the words."""
        word, is_last = words[index], index == len(words) - 1
        is_whole = tier is Tier.NAME or (tier is Tier.NAME_PREFIX and not is_last)
        # U+0001 is part of no word, so the range of a whole word has only that word.
        end = f"{word}\x01" if is_whole else end_of(word)
        kinds: tuple[int, ...] = (LEADING, OF_NAME, OF_EMAIL)
        if tier is not Tier.WORDS:
            # A name begins with the first word of the search.
            kinds = (LEADING, OF_NAME) if index else (LEADING,)
        return cls(word, end, kinds, [*words[:index], *words[index + 1 :]])

    def count_rows(self, tx: Transaction, limit: int) -> int:
        """Count the rows of the range, of each kind up to a limit."""
        return sum(
            tx.words.count(kind=kind, first=self.first, end=self.end, limit=limit)
            for kind in self.kinds
        )

    def end_of_sample(self, tx: Transaction) -> IndexPlace:
        """Return where a number of accounts with the word end: the later, the rarer is the word.

        It is the first place if too few have the word itself, and not only longer ones.
        """
        places = [
            tx.words.find_place(self.first, kind=kind, number=_SAMPLE - 1) for kind in self.kinds
        ]
        return min((place for place in places if place), default=IndexPlace(0, 0))

    def is_first_row(self, row: FoundWord, user: FoundUserRecord) -> bool:
        """Return whether a row is the first one of its account in the range.

        An account with several words in the range is returned only by that row.
        """
        words = words_of(user.name, user.lastname, user.email).items()
        in_range = [
            (kind, word)
            for word, kind in words
            if self.first <= word and (self.end is None or word < self.end)
        ]
        return min(in_range, default=(LEADING, row.word))[1] == row.word


#: Rows of a word that are counted, at most: as many as the first page reads. By a word that has
#: more, it may end before the first match.
_MOST_COUNTED = BLOCKS * INDEX_ROWS

#: Frequent words are compared by the place of their account of this number: the later it is, the
#: rarer is the word. A whole word of names has rows of two kinds, so with twice as many rows one of
#: the kinds has such an account, and no more rows are counted.
_SAMPLE = 500


#: Blocks of words that are read at once, at most: PostgreSQL plans a statement as long as it reads
#: the accounts of one block.
_MOST_AT_ONCE = 8


class _WordKey(NamedTuple):
    """The key of a row in the index of words; without a word, it is before all rows of a kind."""

    #: the index of the driver
    driver: Annotated[int, Meta(ge=0, lt=MAX_WORDS)]
    #: in their order
    kind: Annotated[int, Meta(ge=LEADING, le=OF_EMAIL)] = LEADING
    word: str = ""
    publication: int = 0
    position: int = 0


class _WordStep:
    """The accounts of a tier that are found by words.

    They are read by the rarest word of the search, in the order of the words that match it.
    Accounts where a leading word matches come first.
    """

    is_slow = False

    def __init__(self, tier: Tier, criteria: _Criteria) -> None:
        self._tier = tier
        self._criteria = criteria
        words = criteria.text.words
        self._drivers = [_Driver.of(tier, words, index) for index in range(len(words))]
        #: what the next call reads: few if the first accounts match, many if most do not
        self._blocks = 1

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[FoundUserRecord]:
        after = key_of(_WordKey, key) if key else _WordKey(self._rarest(tx))
        # A forged cursor may name a word that the search does not have.
        driver = self._drivers[after.driver % len(self._drivers)]
        rows = tx.words.range(
            kind=after.kind,
            first=driver.first,
            end=driver.end,
            after=after[2:] if after.word else None,
            watermark=self._criteria.watermark,
            limit=self._blocks * INDEX_ROWS,
            filters=self._criteria.filters,
            parts=driver.others,
        )
        following = _next_key(after, driver, rows, is_full=len(rows) == self._blocks * INDEX_ROWS)
        read, self._blocks = self._blocks, min(2 * self._blocks, _MOST_AT_ONCE)
        found = (
            (_WordKey(after.driver, after.kind, *row[:3]), row.user)
            for row in rows
            if row.user
            and self._criteria.is_found_in(self._tier, row.user)
            and driver.is_first_row(row, row.user)
        )
        return _block(found, following, limit, read)

    def _rarest(self, tx: Transaction) -> int:
        """Return the index of the driver with the fewest rows. The cursor of later pages has it."""
        if len(self._drivers) == 1:
            return 0
        most = 2 * _SAMPLE if self._tier is Tier.NAME else _MOST_COUNTED
        rarest, fewest = 0, most
        for index, driver in enumerate(self._drivers):
            # Count no further than the rarest word so far: a search has up to 24 words.
            rows = driver.count_rows(tx, fewest)
            if rows < fewest:
                rarest, fewest = index, rows
            if not fewest:
                break
        if fewest < most:
            return rarest
        return max(range(len(self._drivers)), key=lambda at: self._drivers[at].end_of_sample(tx))


def _next_key(
    after: _WordKey, driver: _Driver, rows: Sequence[FoundWord], *, is_full: bool
) -> Key | None:
    if is_full:
        return _WordKey(after.driver, after.kind, *rows[-1][:3])
    return _WordKey(after.driver, after.kind + 1) if after.kind < driver.kinds[-1] else None


class _PartStep:
    """The accounts that contain the texts of the search anywhere, in the order of creation."""

    is_slow = True

    def __init__(self, criteria: _Criteria) -> None:
        self._criteria = criteria
        self._scan = Scan(criteria.filters, criteria.text.parts)

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[FoundUserRecord]:
        (after,) = key_of(tuple[str], key) if key else ("",)
        block = tx.user_scan.read(
            FoundUserRecord, self._scan, after, rows=SCAN_ROWS, limit=INDEX_ROWS
        )
        found = (
            ((user.user_id,), user)
            for user in block.users
            if self._criteria.is_found_in(Tier.PART, user)
        )
        return _block(found, None if block.end is None else (block.end,), limit)


def _block(
    found: Iterable[tuple[Key, FoundUserRecord]], end: Key | None, limit: int, blocks: int = 1
) -> StepBlock[FoundUserRecord]:
    """Return a block with at most one account more than a page has room for.

    The extra account shows that the block continues after the page; the rest is not compared.
    """
    return StepBlock(list(islice(found, limit + 1)), end, blocks)


def end_of(prefix: str) -> str | None:
    """Return the first text after all texts with a prefix; None if there is no such text."""
    for at in range(len(prefix) - 1, -1, -1):
        if (code := ord(prefix[at])) < _LAST_CHARACTER:
            # Skip the surrogates, which are not characters.
            following = _AFTER_SURROGATES if code + 1 == _FIRST_SURROGATE else code + 1
            return prefix[:at] + chr(following)
    return None


_LAST_CHARACTER, _FIRST_SURROGATE, _AFTER_SURROGATES = 0x10FFFF, 0xD800, 0xE000
