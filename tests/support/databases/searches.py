"""Searches among stored accounts, with as many words indexed as a test wants."""

from tests.support.databases.indexed_words import index_next
from tests.support.databases.stored_batches import Batch, Person, read_all, repeated

from anyscale.domain.user_query import UserQuery
from anyscale.server.core.search.listing import UserListing
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.transaction import Store


def index_words(store: Store, accounts: int) -> tuple[int, int]:
    """Index the words of the first accounts; return the watermark."""
    with store.write() as tx:
        return index_next(tx, accounts) if accounts else tx.words.lock().watermark


def found_by(store: Store, text: str) -> list[str]:
    users = UserListing(Transactions(store))
    found = read_all(users, UserQuery(search=text), repeated([100]))
    return [user.name + (f" {user.lastname}" if user.lastname else "") for user in found]


def people_named(*full_names: str) -> Batch:
    """A published batch of people; the last name is behind the last blank."""
    parts = [name.rpartition(" ") for name in full_names]
    return Batch(
        "published",
        [Person(first or last, "x", last if first else None) for first, _, last in parts],
    )
