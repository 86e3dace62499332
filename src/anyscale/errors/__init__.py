"""Every error that this package raises on purpose.

    AnyscaleError
    ├── ConfigError           the command line, the environment or the credentials file is wrong
    ├── FeatureUnavailable    the operator has switched batch creation off
    ├── BatchRefused          entries are wrong or their emails are taken: see `problems`
    ├── BatchUnfinished       the batch has not ended, or its outcome is unknown: call again
    ├── BatchRunning          another process is working on the same batch
    ├── BatchGone             the batch was dropped or has expired, or cannot take the call
    ├── KeyReused             the idempotency key belongs to a batch with other content
    ├── NotAuthenticated      no token, or one that is unknown, expired or revoked
    ├── NotPermitted          the token's role does not allow the call
    ├── CsrfRejected          a page of another site made a browser send the request
    ├── InvalidCredentials    email or password is wrong, or the account is suspended
    ├── SsoRefused            the identity provider's response was not accepted
    ├── PasswordExpired       the password that an administrator set was not changed in time
    ├── PasswordChangeNeeded  the password that an administrator set must be changed first
    ├── PasswordRefused       a new password violates the policy
    ├── LinkInvalid           the one-time link is unknown, used or expired
    ├── LinkRefused           no one-time link can be created for the account
    ├── LastOwner             the account is the last owner that is not suspended
    ├── RequestInvalid        an HTTP request is malformed
    ├── TooLarge              a request exceeds the control plane's limits
    ├── Overloaded            the control plane is busy: retry later
    │   └── TooManyFailedLogins   too many wrong passwords: retry later
    ├── NotFound              there is no such batch or user
    ├── UserAmbiguous         several users match: see `emails`
    ├── NotAControlPlane      another program answers at the host
    ├── VersionMismatch       the control plane has another version of the interface
    └── Unavailable           the control plane cannot handle the call now
        ├── StoreUnavailable     its database cannot be opened, read or written
        ├── HashingUnavailable   there is no memory or no process to hash passwords
        ├── ProviderUnavailable  the identity provider does not respond, or not correctly
        ├── ServerUnreachable    no response came over the network
        └── ServerFault          a bug in the control plane

Each class has a `code` that scripts may rely on and an HTTP `status`. Both sides raise these
classes: the server sends `code`, and the client raises the class that has it. `Problem` is one
thing that is wrong with one entry of a batch.
"""

from anyscale.errors.base import (
    AnyscaleError,
)
from anyscale.errors.batches import (
    BatchGone,
    BatchRefused,
    BatchRunning,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
)
from anyscale.errors.calls import (
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
from anyscale.errors.login import (
    InvalidCredentials,
    LastOwner,
    LinkInvalid,
    LinkRefused,
    PasswordChangeNeeded,
    PasswordExpired,
    PasswordRefused,
    SsoRefused,
    TooManyFailedLogins,
)
from anyscale.errors.problem import Problem

__all__ = [
    "AnyscaleError",
    "BatchGone",
    "BatchRefused",
    "BatchRunning",
    "BatchUnfinished",
    "ConfigError",
    "CsrfRejected",
    "FeatureUnavailable",
    "HashingUnavailable",
    "InvalidCredentials",
    "KeyReused",
    "LastOwner",
    "LinkInvalid",
    "LinkRefused",
    "NotAControlPlane",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "Overloaded",
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
    "TooLarge",
    "TooManyFailedLogins",
    "Unavailable",
    "UserAmbiguous",
    "VersionMismatch",
]
