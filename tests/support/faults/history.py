"""Rules that a recorded history of requests and responses has to satisfy, whatever was killed.

At each moment nothing is lost that a server has acknowledged:

1. A batch in a response exists. After a response that shows it as published, dropped or expired,
   every later response shows the same state, and it is in that state; a published one has the
   number of users of the response.
2. The number of users in the response to a reservation is in the batch, unless a response shows
   that the batch was dropped.
3. Every password of an acknowledged chunk has a hash, with the same exception.
4. Every user in a response is an account, with the same id and email.

And after the command has completed, nothing was done twice:

5. Every hash of a chunk of passwords is acknowledged as stored by one response: never by two, and
   by none only if a call got no response. After a response, a later call stores no hash again.
6. One batch is published, a response shows it, and each email has one account.

The responses are those of the servers, also if the network lost them afterwards. A call is later
than a response if its request was sent after the response. In these histories no batch releases
emails to another one, and none skips users.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from re import match
from typing import Any, NamedTuple

from tests.support.databases.stored_data import execute_sql
from tests.support.faults.faulty_proxy import Exchange, FaultyProxy

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
from anyscale.server.store.user_ids import user_id

History = Sequence[Exchange]


class StoredUser(NamedTuple):
    """A user of an open or a published batch."""

    batch_id: str
    email: str
    password_hash: str | None


class StoredState(NamedTuple):
    """The batches and users of a database."""

    #: batch_id -> state
    states: dict[str, str]
    #: user_id -> user
    users: dict[str, StoredUser]

    @property
    def hashes(self) -> dict[str, str]:
        """The stored hashes by user_id."""
        return {name: user.password_hash for name, user in self.users.items() if user.password_hash}

    def emails_of(self, batch_id: str) -> list[str]:
        """Give the emails of a batch."""
        return [user.email for user in self.users.values() if user.batch_id == batch_id]


def read_stored_state(database: str) -> StoredState:
    """Read a database by its URL, while its server runs or not."""
    path = database.removeprefix("sqlite:///")
    where = database if path == database else Path(path)
    sql = (
        "select user_id, batch_id, email, password_hash "
        "from users join batches on batches.id = users.batch"
    )
    with (
        closing(ControlPlane(Settings(database=where), create=False)) as control_plane,
        control_plane.store.read() as tx,
    ):
        users = {name: StoredUser(*row) for name, *row in execute_sql(tx, sql).fetchall()}
        # Read second, since PostgreSQL may show a batch here that was opened after the first query.
        states = dict(execute_sql(tx, "select batch_id, state from batches").fetchall())
        return StoredState(states, users)


class HistoryChecker:
    """Compares the history of a proxy with a database."""

    def __init__(self, proxy: FaultyProxy, database: str) -> None:
        self.proxy = proxy
        self._database = database

    def check(self) -> StoredState:
        """Check that everything acknowledged so far is stored; give what is stored."""
        # The history first: responses that arrive later need not be in what is read.
        history = list(self.proxy.history)
        stored = read_stored_state(self._database)
        check_nothing_lost(history, stored)
        return stored

    def check_finished(self) -> StoredState:
        """Check the whole history after the command has completed; give what is stored."""
        history = self.proxy.finished_history()
        stored = read_stored_state(self._database)
        check_history(history, stored)
        return stored


def check_nothing_lost(history: History, stored: StoredState) -> None:
    """Check rules 1 to 4."""
    successful = [exchange for exchange in history if _is_success(exchange)]
    _check_batches(successful, stored)
    dropped = {batch_id for batch_id, _ in _calls("drop", successful)}
    _check_reservations(successful, stored, dropped)
    _check_hashes(successful, stored, dropped)
    _check_shown_users(successful, stored)


def check_history(history: History, stored: StoredState) -> None:
    """Check all rules, after the command has completed."""
    check_nothing_lost(history, stored)
    _check_each_hash_stored_once(history)
    _check_each_user_created_once(history, stored)


def _is_success(exchange: Exchange) -> bool:
    return 200 <= exchange.status < 300


def _calls(name: str, history: Iterable[Exchange]) -> Iterator[tuple[str, Exchange]]:
    """Give the exchanges of a call on a batch, each with the batch's id."""
    for exchange in history:
        if path := match(rf"\w+ /v1/batches/(\w+)/{name}\b", exchange.call):
            yield path[1], exchange


def _shown_batches(successful: Iterable[Exchange]) -> list[tuple[Exchange, dict[str, Any]]]:
    """Give the batches in responses to any call."""
    shown = []
    for exchange in successful:
        body = exchange.response_json
        shown += [(exchange, batch) for batch in body.get("batches", [body]) if "state" in batch]
    return shown


def _check_batches(successful: History, stored: StoredState) -> None:
    shown = _shown_batches(successful)
    for exchange, batch in shown:
        batch_id, state = batch["batch_id"], batch["state"]
        assert batch_id in stored.states, f"{batch_id} was acknowledged, and is lost"
        if state == "open":
            continue
        later = {
            other["state"]
            for call, other in shown
            if other["batch_id"] == batch_id and call.requested_at > exchange.responded_at
        }
        assert later | {stored.states[batch_id]} == {state}, f"{batch_id} did not stay {state}"
        if state == "published":
            users = len(stored.emails_of(batch_id))
            assert users == batch["users"], f"{batch_id} was published with other users"


def _check_reservations(successful: History, stored: StoredState, dropped: set[str]) -> None:
    emails = defaultdict(set)
    for user in stored.users.values():
        emails[user.batch_id].add(user.email)
    for batch_id, exchange in _calls("chunks", successful):
        reserved = {user["email"] for user in exchange.request_json["create_users"]}
        lost = exchange.response_json["users"] - len(reserved & emails[batch_id])
        assert batch_id in dropped or lost <= 0, f"{exchange.call}: {lost} reserved users are lost"


def _check_hashes(successful: History, stored: StoredState, dropped: set[str]) -> None:
    for batch_id, exchange in _calls("passwords", successful):
        acknowledged = {user_id(batch_id, position) for position in _positions(exchange)}
        lost = acknowledged - stored.hashes.keys()
        assert batch_id in dropped or not lost, f"{exchange.call}: {len(lost)} hashes are lost"


def _check_shown_users(successful: History, stored: StoredState) -> None:
    accounts = {
        (name, user.email)
        for name, user in stored.users.items()
        if stored.states[user.batch_id] == "published"
    }
    for exchange in successful:
        users = exchange.response_json.get("users")
        if isinstance(users, list):  # of a batch, it is a number
            lost = {(user["user_id"], user["email"]) for user in users} - accounts
            assert not lost, f"{exchange.call}: {len(lost)} users of a response are not accounts"


def _positions(exchange: Exchange) -> tuple[int, ...]:
    return tuple(position for position, _ in exchange.request_json["passwords"])


def _check_each_hash_stored_once(history: History) -> None:
    batches = defaultdict(list)
    for batch_id, exchange in _calls("passwords", history):
        batches[batch_id].append(exchange)
    for batch_id, calls in batches.items():
        for overlapping in _overlapping(calls):
            _check_stored_once(batch_id, overlapping)


def _overlapping(calls: History) -> list[list[Exchange]]:
    """Group calls whose chunks share positions: two runs may cut a file in different places."""
    groups: list[tuple[set[int], list[Exchange]]] = []
    for call in calls:
        positions, members = set(_positions(call)), [call]
        for group in [group for group in groups if group[0] & positions]:
            groups.remove(group)
            positions |= group[0]
            members = group[1] + members
        groups.append((positions, members))
    return [members for _, members in groups]


def _check_stored_once(batch_id: str, calls: History) -> None:
    responses = [exchange for exchange in calls if _is_success(exchange)]
    count = len(_all_positions(calls))
    what = f"{batch_id}: of {count} hashes"
    stored = sum(exchange.response_json["stored"] for exchange in responses)
    assert stored <= count, f"{what} {stored} were stored"
    # After an error of the server, or no response, it is unknown what was done.
    is_known = all(0 < exchange.status < 500 for exchange in calls)
    assert stored == count or not is_known, f"{what} {stored} were stored, and all were answered"
    for later in responses:
        earlier = [call for call in responses if call.responded_at < later.requested_at]
        due = _all_positions([later]) - _all_positions(earlier)
        again = later.response_json["stored"] - len(due)
        assert again <= 0, f"{what} {again} were stored after all were acknowledged"


def _all_positions(calls: History) -> set[int]:
    return {position for call in calls for position in _positions(call)}


def _check_each_user_created_once(history: History, stored: StoredState) -> None:
    published = [batch_id for batch_id, state in stored.states.items() if state == "published"]
    assert len(published) == 1, f"{len(published)} batches are published"
    shown = _shown_batches(exchange for exchange in history if _is_success(exchange))
    assert any(batch["state"] == "published" for _, batch in shown), "no response shows it"
    emails = Counter(stored.emails_of(published[0]))
    twice = [email for email, count in emails.items() if count > 1]
    assert not twice, f"{len(twice)} emails have several accounts"
