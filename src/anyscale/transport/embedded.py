"""The control plane in this process, on the user's own SQLite database."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import structs

from anyscale.domain.validation import Policy
from anyscale.errors import FeatureUnavailable, StoreUnavailable
from anyscale.server.control_plane import ControlPlane, empty_control_plane
from anyscale.server.core.callers import system_caller
from anyscale.server.databases import database_exists
from anyscale.server.in_process import Applications, Audit, Batches, Links, Mails, Need, Users
from anyscale.server.settings import Settings

#: seconds that a search spends on indexing at most, also on waiting for another process that writes
_INDEXING_SECONDS = 2.0


class EmbeddedTransport:
    """Calls a control plane in this process, which it opens on use.

    Calls that only read create nothing: without a database there are no users and no batches.
    """

    #: SQLite has one writer. The next chunk is read while it writes.
    reservations_at_once = 1
    #: While one chunk is hashed, the next one is ready, so that no core is idle between them.
    hashes_at_once = 2
    #: It repeats no call.
    retries = 0

    def __init__(
        self, settings: Settings, on_notice: Callable[[str], None] = lambda _: None
    ) -> None:
        assert isinstance(settings.database, Path)
        self._database = settings.database
        self._settings = settings
        self._opened_to_write: ControlPlane | None = None
        self._opened_to_read: ControlPlane | None = None
        self._empty: ControlPlane | None = None
        #: Until the database has a schema, which another process may create. It is not read again
        #: for each chunk of a file.
        self._is_blank = True
        self._is_noticed = False
        self.on_notice = on_notice
        self.where: str = str(self._database)
        caller = system_caller()
        self.batches: Batches = Batches(self._control_plane, caller)
        self.users: Users = Users(self._control_plane, caller)
        self.links: Links = Links(self._control_plane, caller)
        self.mails: Mails = Mails(self._control_plane, caller)
        self.applications: Applications = Applications(self._control_plane, caller)
        self.audit: Audit = Audit(self._control_plane, caller)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], on_notice: Callable[[str], None] = lambda _: None
    ) -> "EmbeddedTransport":
        """Create the transport that the environment describes, or raise a ConfigError."""
        return cls(Settings.from_environment(environment, served=False), on_notice)

    def _open(self, *, create: bool) -> ControlPlane:
        return ControlPlane(self._settings, create=create)

    def _control_plane(self, need: Need) -> ControlPlane:
        """Return the control plane for a call, which opens it if needed: see `Need`."""
        if need == "create":
            return self._to_write()
        existing = self._existing()
        if existing is None:
            return self._without_database(need)
        if need == "search":
            _index_words(existing)
        return self._to_write() if need == "change" else existing

    def _existing(self) -> ControlPlane | None:
        """Return the control plane, or None without a database. Create and clean up nothing."""
        if self._opened_to_write is not None:
            return self._opened_to_write
        if self._opened_to_read is None and database_exists(self._database):
            self._opened_to_read = self._open(create=False)
        reader = self._opened_to_read
        if reader and self._is_blank:
            self._is_blank = reader.store.is_blank
        return None if self._is_blank else reader

    def _to_write(self) -> ControlPlane:
        """Return the control plane. The first use creates the database if needed, and cleans up."""
        if self._opened_to_write is None:
            control_plane = self._open(create=True)
            try:
                control_plane.clean_up()
            except BaseException:
                control_plane.close()
                raise
            self._opened_to_write = control_plane
        return self._opened_to_write

    def _without_database(self, need: Need) -> ControlPlane:
        """Return a control plane without users and batches; tell the user why a list is empty."""
        if need in ("list", "search") and not self._is_noticed:
            self._is_noticed = True  # `verify` looks up many chunks
            self.on_notice(f"There is no control plane yet at {self.where}")
        if self._empty is None:
            self._empty = empty_control_plane(self._settings)
        return self._empty

    def policy(self) -> Policy:
        if not self._settings.batch_create:
            raise FeatureUnavailable
        # It raises if the database is another user's, before a run creates a folder beside it.
        database_exists(self._database)
        from anyscale.server.core.hashing.schemes.verified import verified_schemes

        return structs.replace(self._settings.policy, hash_schemes=verified_schemes())

    def cancel_retries(self) -> None:
        """Do nothing: no call is repeated here."""

    def close(self) -> None:
        for control_plane in (self._opened_to_read, self._opened_to_write, self._empty):
            if control_plane:
                control_plane.close()
        self._opened_to_read = self._opened_to_write = self._empty = None


def _index_words(control_plane: ControlPlane) -> None:
    """Index words for a while before a search; a server does so in the background.

    The search finds all the same if this user may only read, or while another process writes.
    """
    with suppress(StoreUnavailable):
        control_plane.search_index.fill(_INDEXING_SECONDS)
