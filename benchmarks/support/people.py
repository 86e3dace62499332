"""People with frequent and rare names, as many as one likes, and batches of them."""

import random
from itertools import accumulate
from typing import NamedTuple

from tests.store.contract.steps import batch_row, chunk_row, rows_of, user_row
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.users import NewUserRecord
from anyscale.server.store.transaction import Store

#: users of a chunk, as a client sends them
_CHUNK = 10_000

#: how many first and last names there are; the name at place n is chosen with weight 1 / n
_NAMES, _LASTNAMES = 5_000, 100_000
_DOMAINS = ("example.com", "mail.example.org", "corp.example.net", "uni.example.edu")


class Person(NamedTuple):
    """A person, whose email contains the name in most cases."""

    name: str
    lastname: str
    email: str

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.lastname}"


def _words(seed: str, count: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(_syllable(chance) for _ in range(2 + at % 3)).title() for at in range(count)]


def _syllable(chance: random.Random) -> str:
    return chance.choice("bdfghjklmnprstvwz") + chance.choice("aeiou") + chance.choice(_ENDS)


#: how a syllable may end, most of them in a vowel
_ENDS = ("", "", "", "n", "r", "l", "s")


def _weights(count: int) -> list[float]:
    return list(accumulate(1 / place for place in range(1, count + 1)))


_names, _lastnames = _words("names", _NAMES), _words("last names", _LASTNAMES)
_name_weights, _lastname_weights = _weights(_NAMES), _weights(_LASTNAMES)


def person_at(position: int) -> Person:
    """Return a person by number; the same one each time."""
    chance = random.Random(position)
    (name,) = chance.choices(_names, cum_weights=_name_weights)
    (lastname,) = chance.choices(_lastnames, cum_weights=_lastname_weights)
    local = f"{name}.{lastname}" if chance.random() < 0.7 else f"{chance.randrange(16**8):08x}"
    return Person(name, lastname, f"{local}{position}@{chance.choice(_DOMAINS)}".lower())


def add_people(store: Store, number: int, positions: range, *, publish: bool) -> None:
    """Create a batch of people, chunk by chunk as the server does.

    One of ten is an SSO user. Of a published batch, one of 256 is suspended, and one of 4,096 is an
    owner.
    """
    with store.write() as tx:
        # Of an earlier time, it would have expired: a server deletes such a batch when it starts.
        batch = tx.batches.add(batch_row(number, at=tx.now()))
    assert batch
    for first in range(0, len(positions), _CHUNK):
        part = positions[first : first + _CHUNK]
        users = [_row(batch, at, position) for at, position in enumerate(part, first)]
        with store.write() as tx:
            assert tx.users.insert(batch.id, rows_of(users)) == []
            tx.chunks.save(batch.id, chunk_row(first // _CHUNK, users=len(users)), [])
    if publish:
        with store.write() as tx:
            tx.batches.publish(batch.id, "bench", tx.now())
            execute_sql(tx, _SUSPEND, (batch.id,))
            execute_sql(tx, _PROMOTE, (batch.id,))


_SUSPEND = "update users set suspended_at = 1 where batch = ? and substr(user_id, 35) = '07'"
_PROMOTE = (
    "update users set permission_level = 'owner' where batch = ? and substr(user_id, 34) = '00f'"
)


def _row(batch: BatchRecord, at: int, position: int) -> NewUserRecord:
    person = person_at(position)
    fields = {"name": person.name, "lastname": person.lastname}
    return user_row(batch, at, person.email, is_sso_user=position % 10 == 0, **fields)
