"""Every error that this package raises on purpose; `AnyscaleError` is the superclass of all.

Each class has a `code` that scripts may rely on and an HTTP `status`: docs/errors.md lists them.
Both sides raise these classes: the server sends `code`, and the client raises the class that has
it. `Problem` is one thing that is wrong with one entry of a batch.
"""

from anyscale.errors.base import (
    AlreadyReplaced,
    AnyscaleError,
    ConfigError,
    CsrfRejected,
    HashingUnavailable,
    NotAControlPlane,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Overloaded,
    ProviderUnavailable,
    RequestInvalid,
    ServerFault,
    ServerUnreachable,
    StoreUnavailable,
    TooLarge,
    Unavailable,
    UserAmbiguous,
    VersionMismatch,
)
from anyscale.errors.batches import (
    BatchGone,
    BatchRefused,
    BatchRunning,
    BatchUndone,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    Problem,
    SyncStopped,
)
from anyscale.errors.login import (
    AccountEdited,
    EmailFreed,
    EmailTaken,
    ExternalIdTaken,
    InvalidCredentials,
    LastOwner,
    LinkInvalid,
    LinkRefused,
    MailUnavailable,
    OwnerKept,
    PasswordChangeNeeded,
    PasswordExpired,
    PasswordRefused,
    SsoRefused,
    TooManyFailedLogins,
    TooManyPasswordResets,
)

__all__ = [
    "AccountEdited",
    "AlreadyReplaced",
    "AnyscaleError",
    "BatchGone",
    "BatchRefused",
    "BatchRunning",
    "BatchUndone",
    "BatchUnfinished",
    "ConfigError",
    "CsrfRejected",
    "EmailFreed",
    "EmailTaken",
    "ExternalIdTaken",
    "FeatureUnavailable",
    "HashingUnavailable",
    "InvalidCredentials",
    "KeyReused",
    "LastOwner",
    "LinkInvalid",
    "LinkRefused",
    "MailUnavailable",
    "NotAControlPlane",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "Overloaded",
    "OwnerKept",
    "PasswordChangeNeeded",
    "PasswordExpired",
    "PasswordRefused",
    "Problem",
    "ProviderUnavailable",
    "RequestInvalid",
    "ServerFault",
    "ServerUnreachable",
    "SsoRefused",
    "StoreUnavailable",
    "SyncStopped",
    "TooLarge",
    "TooManyFailedLogins",
    "TooManyPasswordResets",
    "Unavailable",
    "UserAmbiguous",
    "VersionMismatch",
]


def __dir__() -> list[str]:
    """Return the public names, without what this module imports."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
