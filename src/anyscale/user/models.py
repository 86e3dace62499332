"""The models of the SDK: the users that callers create, and what the calls return.

Client and server share their definitions, in `anyscale.domain.models`. Importing them is cheap.
"""

from anyscale.domain.models.batches import Batch, KeptUser, UndoneBatch
from anyscale.domain.models.sync import LookAlike, SyncPlan, SyncResult, SyncStep
from anyscale.domain.models.users import (
    AdminCreatedUser,
    AdminCreateUser,
    AdminImportUser,
    CreatedUsers,
    Difference,
    PasswordLink,
    SkippedUser,
    User,
)

__all__ = [
    "AdminCreateUser",
    "AdminCreatedUser",
    "AdminImportUser",
    "Batch",
    "CreatedUsers",
    "Difference",
    "KeptUser",
    "LookAlike",
    "PasswordLink",
    "SkippedUser",
    "SyncPlan",
    "SyncResult",
    "SyncStep",
    "UndoneBatch",
    "User",
]


def __dir__() -> list[str]:
    """Return the public names, without what this module imports."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
