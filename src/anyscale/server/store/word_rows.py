"""The rows of the table `user_words` that accounts have."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from anyscale.server.store.records.search import AccountTextsRecord, IndexPlace
from anyscale.server.store.words import LEADING, OF_EMAIL, OF_NAME, words_of

#: a word and its kind
Word = tuple[str, int]

#: a word, its kind, and the publication and position of the account
WordRow = tuple[str, int, int, int]


class SegmentWords:
    """Collects the words of accounts that are added in the order of their places."""

    def __init__(self) -> None:
        # In the order of the table.
        self._places: dict[int, dict[str, list[IndexPlace]]] = {
            kind: defaultdict(list) for kind in (LEADING, OF_NAME, OF_EMAIL)
        }

    def add(self, accounts: Iterable[AccountTextsRecord]) -> None:
        for account in accounts:
            place = account.place
            for word, kind in words_of_account(account):
                self._places[kind][word].append(place)

    def rows(self) -> Iterator[WordRow]:
        """Generate the rows so that neighbours in the table follow each other."""
        for kind, places in self._places.items():
            for word in sorted(places):
                for publication, position in places[word]:
                    yield word, kind, publication, position


def words_of_account(account: AccountTextsRecord) -> Iterable[Word]:
    """Return the words that the index has of an account."""
    return words_of(account.name, account.lastname, account.email).items()


def distinct_words(accounts: Iterable[AccountTextsRecord]) -> set[Word]:
    """Return the words that at least one of some accounts has."""
    return {word for account in accounts for word in words_of_account(account)}


def runs(
    accounts: Iterable[AccountTextsRecord], end: IndexPlace
) -> Iterator[list[AccountTextsRecord]]:
    """Divide accounts up to a place into those that follow each other without a gap."""
    # A batch is mostly undone before it has words, and its places take a twentieth of the undo.
    indexed = (one for one in accounts if one.publication <= end.publication)
    placed = sorted((place, one) for one in indexed if (place := one.place) <= end)
    for _, run in groupby(enumerate(placed), _start_of_run):
        yield [account for _, (_, account) in run]


def _start_of_run(numbered: tuple[int, tuple[IndexPlace, AccountTextsRecord]]) -> tuple[int, int]:
    """Return a place that is the same as long as no position is missing."""
    number, ((publication, position), _) = numbered
    return publication, position - number
