"""What a recorded history of calls and answers has to satisfy, whatever died meanwhile.

At each moment nothing is lost of what a server has acknowledged:

1. A batch that an answer shows is there. One that an answer shows as published, dropped or expired
   is shown so by every later answer, and is so; a published one has as many users as was said.
2. So many users of a page as the answer to its claim says are in the batch, unless an answer says
   that the batch was dropped.
3. Every password of a page whose hashing was answered has a hash, with the same exception.
4. Every user that an answer shows is an account, with that id and that email.

And at the end, when the command has completed, nothing was done twice:

5. Of a page of passwords every hash is acknowledged as stored by one answer: never by two, and by
   none only if a call about it got no answer. Once a page was answered, a later call stores none.
6. One batch is published, an answer says so, and each email has one account.

The answers are the servers', also those that the network lost afterwards: what was said has to be
true, whoever heard it. A call is later than an answer if it was made after it. In these histories
no batch gives way to another one (`release`), and none passes over entries.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from re import match
from typing import Any, NamedTuple

from tests.support.server_process import Exchange, Proxy
from tests.support.users import execute

from anyscale.server.core.batches.records import user_id
from anyscale.server.main import ControlPlane, Settings

__all__ = ["Held", "Row", "Witness", "check_history", "check_kept", "held_in"]

History = Sequence[Exchange]


class Row(NamedTuple):
    """A user, of an open batch or an account."""

    batch_id: str
    email: str
    password_hash: str | None


class Held(NamedTuple):
    """What a database holds, whoever may see it."""

    #: batch_id -> state
    states: dict[str, str]
    #: user_id -> row
    rows: dict[str, Row]

    @property
    def hashes(self) -> dict[str, str]:
        """Give the stored hashes by user_id."""
        return {name: row.password_hash for name, row in self.rows.items() if row.password_hash}

    def users_of(self, batch_id: str) -> list[str]:
        """Give the emails of a batch."""
        return [row.email for row in self.rows.values() if row.batch_id == batch_id]


def held_in(database: str) -> Held:
    """Read a database by its URL, whatever its server does."""
    path = database.removeprefix("sqlite:///")
    where = database if path == database else Path(path)
    sql = (
        "select user_id, batch_id, email, password_hash "
        "from users join batches on batches.id = users.batch"
    )
    with (
        closing(ControlPlane(Settings(database=where), create=False)) as plane,
        plane.store.read() as rows,
    ):
        users = {name: Row(*row) for name, *row in execute(rows, sql).fetchall()}
        # Afterwards: PostgreSQL may show a batch by then that was opened meanwhile.
        states = dict(execute(rows, "select batch_id, state from batches").fetchall())
        return Held(states, users)


class Witness:
    """Knows what was answered through a proxy, and sees what is held."""

    def __init__(self, proxy: Proxy, database: str) -> None:
        self.proxy = proxy
        self._database = database

    def look(self) -> Held:
        """Check that what was acknowledged so far is there; give what is held."""
        # First: what is answered meanwhile need not be in what is read.
        history = list(self.proxy.history)
        held = held_in(self._database)
        check_kept(history, held)
        return held

    def look_back(self) -> Held:
        """Check all of the history, after the command has completed; give what is held."""
        history = self.proxy.settled()
        held = held_in(self._database)
        check_history(history, held)
        return held


def check_kept(history: History, held: Held) -> None:
    """Check the rules of what is never lost, 1 to 4."""
    good = [exchange for exchange in history if _is_good(exchange)]
    _batches_stay(good, held)
    dropped = {batch_id for batch_id, _ in _calls("drop", good)}
    _claims_stay(good, held, dropped)
    _hashes_stay(good, held, dropped)
    _shown_users_stay(good, held)


def check_history(history: History, held: Held) -> None:
    """Check all rules, after the command has completed."""
    check_kept(history, held)
    _hashes_are_stored_once(history)
    _nobody_is_created_twice(history, held)


def _is_good(exchange: Exchange) -> bool:
    return 200 <= exchange.status < 300


def _calls(name: str, history: Iterable[Exchange]) -> Iterator[tuple[str, Exchange]]:
    """Give the exchanges of a call on a batch, each with the batch's id."""
    for exchange in history:
        if found := match(rf"\w+ /v1/batches/(\w+)/{name}\b", exchange.call):
            yield found[1], exchange


def _shown(good: Iterable[Exchange]) -> list[tuple[Exchange, dict[str, Any]]]:
    """Give the batches that answers show, whatever the calls."""
    shown = []
    for exchange in good:
        said = exchange.said
        shown += [(exchange, batch) for batch in said.get("batches", [said]) if "state" in batch]
    return shown


def _batches_stay(good: History, held: Held) -> None:
    shown = _shown(good)
    for exchange, batch in shown:
        batch_id, state = batch["batch_id"], batch["state"]
        assert batch_id in held.states, f"{batch_id} was acknowledged, and is lost"
        if state == "open":
            continue
        later = {
            other["state"]
            for call, other in shown
            if other["batch_id"] == batch_id and call.asked_at > exchange.answered_at
        }
        assert later | {held.states[batch_id]} == {state}, f"{batch_id} did not stay {state}"
        if state == "published":
            users = len(held.users_of(batch_id))
            assert users == batch["users"], f"{batch_id} was published with other users"


def _claims_stay(good: History, held: Held, dropped: set[str]) -> None:
    emails = defaultdict(set)
    for row in held.rows.values():
        emails[row.batch_id].add(row.email)
    for batch_id, exchange in _calls("pages", good):
        claimed = {user["email"] for user in exchange.asked["create_users"]}
        lost = exchange.said["users"] - len(claimed & emails[batch_id])
        assert batch_id in dropped or lost <= 0, f"{exchange.call}: {lost} claimed users are lost"


def _hashes_stay(good: History, held: Held, dropped: set[str]) -> None:
    for batch_id, exchange in _calls("passwords", good):
        acknowledged = {user_id(batch_id, position) for position in _positions(exchange)}
        lost = acknowledged - held.hashes.keys()
        assert batch_id in dropped or not lost, f"{exchange.call}: {len(lost)} hashes are lost"


def _shown_users_stay(good: History, held: Held) -> None:
    accounts = {
        (name, row.email)
        for name, row in held.rows.items()
        if held.states[row.batch_id] == "published"
    }
    for exchange in good:
        users = exchange.said.get("users")
        if isinstance(users, list):  # elsewhere it is how many
            lost = {(user["user_id"], user["email"]) for user in users} - accounts
            assert not lost, f"{exchange.call}: {len(lost)} users that were shown are no accounts"


def _positions(exchange: Exchange) -> tuple[int, ...]:
    return tuple(position for position, _ in exchange.asked["passwords"])


def _hashes_are_stored_once(history: History) -> None:
    pages = defaultdict(list)
    for batch_id, exchange in _calls("passwords", history):
        pages[batch_id, _positions(exchange)].append(exchange)
    for (batch_id, positions), calls in pages.items():
        _is_stored_once(f"{batch_id}: of {len(positions)} hashes", len(positions), calls)


def _is_stored_once(what: str, count: int, calls: History) -> None:
    answers = [exchange for exchange in calls if _is_good(exchange)]
    stored = sum(exchange.said["stored"] for exchange in answers)
    assert stored <= count, f"{what} {stored} were stored"
    # A server's fault leaves open what was done, as silence does.
    is_known = all(0 < exchange.status < 500 for exchange in calls)
    assert stored == count or not is_known, f"{what} {stored} were stored, and all were answered"
    first = min((exchange.answered_at for exchange in answers), default=0.0)
    again = sum(exchange.said["stored"] for exchange in answers if exchange.asked_at > first)
    assert not again, f"{what} {again} were stored after all were acknowledged"


def _nobody_is_created_twice(history: History, held: Held) -> None:
    published = [batch_id for batch_id, state in held.states.items() if state == "published"]
    assert len(published) == 1, f"{len(published)} batches are published"
    said = _shown(exchange for exchange in history if _is_good(exchange))
    assert any(batch["state"] == "published" for _, batch in said), "no answer says published"
    emails = Counter(held.users_of(published[0]))
    twice = [email for email, count in emails.items() if count > 1]
    assert not twice, f"{len(twice)} emails have several accounts"
