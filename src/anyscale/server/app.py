"""The composition root: from settings to a control plane."""

from anyscale.server.core.access import Caller, local_actor
from anyscale.server.core.batches import Batches
from anyscale.server.core.passwords import OWASP, Hashing, Profile
from anyscale.server.core.users import Users
from anyscale.server.settings import Settings
from anyscale.server.store.sqlite import SqliteStore

__all__ = ["Caller", "ControlPlane", "Settings", "local_actor"]


class ControlPlane:
    """A control plane over one SQLite file.

    Args:
        settings: the operator's.
        create: whether the database is made, or brought up, if need be.
        profile: the parameters of password hashes.

    Raises:
        StoreUnavailable: the database cannot be opened.
    """

    def __init__(
        self, settings: Settings, *, create: bool = True, profile: Profile = OWASP
    ) -> None:
        self.store = SqliteStore(settings.database, create=create)
        self.hashing = Hashing(profile)
        self.users = Users(self.store)
        self.batches = Batches(
            self.store,
            self.hashing,
            settings.policy,
            available=settings.batch_create,
            expiry_days=settings.batch_expiry_days,
        )

    def close(self) -> None:
        """Let go of the threads and the database."""
        self.hashing.close()
        self.store.close()
