"""Every error that this project raises on purpose.

    AnyscaleError
    ├── ConfigError           the command line, the environment or the credentials file is wrong
    ├── FeatureUnavailable    the operator switched batch creation off
    ├── BatchRefused          entries are wrong or their emails are taken: `problems` names each
    ├── BatchUnfinished       begun, and not ended or its end not known: make the same call again
    ├── BatchRunning          another process is working on the same batch
    ├── BatchGone             the batch was dropped or expired under the one who worked on it
    ├── KeyReused             the idempotency key belongs to a batch with other content
    ├── NotAuthenticated      no token, or one that is unknown, expired or revoked
    ├── NotPermitted          the token's role does not allow the call
    ├── CsrfRejected          a page of another site made a browser send it
    ├── InvalidCredentials    email or password is wrong, or the account is suspended
    ├── SsoRefused            what came from the identity provider signs nobody in
    ├── PasswordExpired       the password that an administrator gave is too old
    ├── PasswordChangeNeeded  the password that an administrator gave must be changed first
    ├── PasswordRefused       the policy refuses a new password
    ├── LinkInvalid           the one-time link was used, has expired or never was
    ├── LinkRefused           no one-time link is made for this account, or for none here
    ├── LastOwner             without this owner nobody could administer the control plane
    ├── RequestInvalid        a request over HTTP that makes no sense
    ├── TooLarge              more than the control plane takes at once
    ├── Overloaded            the control plane has too much to do: ask again later
    │   └── TooManyFailedLogins too many wrong passwords: try again later
    ├── NotFound              no such batch, or no such user
    ├── UserAmbiguous         several users match: `emails` names them
    ├── NotAControlPlane      what answers at the host is something else
    ├── VersionMismatch       the control plane speaks another version of the interface
    └── Unavailable           the control plane cannot do its part now
        ├── StoreUnavailable  its database cannot be opened, read or written
        ├── HashingUnavailable no memory or no process to hash passwords
        ├── ProviderUnavailable the identity provider does not do its part
        ├── ServerUnreachable no answer came over the network
        └── ServerFault       a fault of the control plane itself

Each class has a `code` that scripts may rely on, and an HTTP `status`.
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
from anyscale.errors.people import (
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
