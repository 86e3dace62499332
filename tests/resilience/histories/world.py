"""A control plane of a history: what is stored in it, and how a history begins with nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, NamedTuple

from tests.resilience.histories.clients import Client
from tests.resilience.histories.model import Account, Model
from tests.support.databases.stored_data import execute_sql
from tests.support.faults.faulty_proxy import FaultyProxy
from tests.support.ports import responds_at
from tests.support.servers.server_process import ServerProcess
from tests.support.users import list_accounts
from tests.support.waiting import wait_until

from anyscale.config import resolve
from anyscale.domain.models.users import User
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.user_ids import id_prefix
from anyscale.transport import open_transport

_TABLES = ("conflicts", "chunks", "former_emails", "user_words", "users")


class _Proxy(NamedTuple):
    """What a command needs to reach a control plane, and how to wait for the end of its calls."""

    environment: dict[str, str]
    wait: Callable[[], object]


class World:
    """A control plane that histories use one after the other.

    Args:
        control_plane: on its database, for what no call shows.
        client: of it.
        server: its process; None if it is embedded.
        constants: of its commands: see `CommandProcess`.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        client: Client,
        server: ServerProcess | None = None,
        constants: Mapping[str, object] | None = None,
    ) -> None:
        self._control_plane = control_plane
        self.constants = constants
        self.client = client
        self.server = server

    @contextmanager
    def proxy(self) -> Iterator["_Proxy"]:
        """Give a way to it on which a client may be killed."""
        if not self.server:
            yield _Proxy(self.environment, lambda: None)
            return
        with FaultyProxy([self.server.port], lambda _: None) as proxy:
            yield _Proxy(
                self.environment | {"ANYSCALE_HOST": proxy.url}, partial(_wait_for_all, proxy)
            )

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to reach it."""
        found = {"ANYSCALE_HOST": self.client.host}
        return found | ({"ANYSCALE_CLI_TOKEN": self.client.token} if self.client.token else {})

    def wait_for_server(self) -> None:
        """Wait until the server that is being started is ready."""
        assert self.server
        wait_until(partial(responds_at, self.server.port, "/readyz"))

    def empty(self) -> None:
        """Delete all accounts and batches."""
        with self._control_plane.store.write() as tx:
            for table in _TABLES:
                execute_sql(tx, f"delete from {table}")
            execute_sql(tx, "delete from batches")
            execute_sql(tx, "update search_index set publication = 0, position = 0")

    def writes(self) -> int:
        """Return how many changes the audit log has."""
        with self._control_plane.store.read() as tx:
            return int(_rows(tx, "select count(*) from audit")[0][0])

    def let_pass(self, days: int) -> None:
        """Let days pass since emails were freed."""
        with self._control_plane.store.write() as tx:
            execute_sql(tx, f"update former_emails set freed_at = freed_at - {days * DAY_MS}")

    def observe(self) -> Model:
        """Return what is stored: the accounts as the public interface lists them."""
        target = resolve(self.client.host, self.client.token)
        with closing(open_transport(target)) as transport:
            users = list_accounts(transport)
        model = Model(is_operator=self.server is None)
        with self._control_plane.store.read() as tx:
            used = {
                row[0] for row in _rows(tx, "select user_id from users where used_at is not null")
            }
            batches = _rows(tx, "select batch_id, state from batches")
            model.published = {
                batch for batch, state in batches if state in ("published", "undoing", "undone")
            }
            for key, user_id, days in _rows(tx, _FORMER.format(now=tx.now(), day=DAY_MS)):
                model.former[key, user_id] = days
            for row in _rows(tx, _RESERVED):
                model.reserved.setdefault(row[-1], []).append(Account(*row))
            model.whole = {row[0] for row in _rows(tx, _WHOLE)}
        model.accounts = {user.user_id: _account(user, used, model.published) for user in users}
        return model


def _wait_for_all(proxy: FaultyProxy) -> None:
    """Wait for the calls of clients, also of those whose connection waits to be accepted."""
    # Connections are accepted in their order.
    assert responds_at(int(proxy.url.rpartition(":")[2]), "/readyz")
    proxy.finished_history()


_FORMER = (
    "select email_key, user_id, ({now} - freed_at) / {day} from former_emails order by freed_at"
)

_RESERVED = (
    "select user_id, email, external_id, name, lastname, title, batch_id"
    " from users join batches on batches.id = users.batch where state = 'open' order by user_id"
)

_WHOLE = (
    "select batch_id from batches join chunks on chunks.batch = batches.id"
    " where state = 'open' and conflicts = 0"
)


def _rows(tx: Any, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in execute_sql(tx, sql).fetchall()]


def _account(user: User, used: set[str], batches: set[str]) -> Account:
    (batch,) = (one for one in batches if user.user_id.startswith(id_prefix(one)))
    suspended = "sync" if user.suspended_by_sync else "hand"
    return Account(
        user.user_id,
        user.email,
        user.external_id,
        user.name,
        user.lastname,
        user.title,
        batch,
        is_owner=user.permission_level == "owner",
        suspended=suspended if user.suspended_at else "",
        is_used=user.user_id in used,
    )
