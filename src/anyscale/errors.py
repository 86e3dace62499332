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
    ├── CrossOrigin           a page of another site made a browser send it
    ├── SignInRefused         email or password is wrong, or the account is suspended
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
    │   └── Throttled         too many wrong passwords: try again later
    ├── NotFound              no such batch, or no such user
    ├── UserAmbiguous         several users match: `emails` names them
    ├── NotAControlPlane      what answers at the host is something else
    ├── VersionMismatch       the control plane speaks another version of the interface
    └── Unavailable           the control plane cannot do its part now
        ├── StoreUnavailable  its database cannot be opened, read or written
        ├── ProviderUnavailable the identity provider does not do its part
        ├── ServerUnreachable no answer came over the network
        └── ServerFault       a fault of the control plane itself

Each class has a `code` that scripts may rely on, and an HTTP `status`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from anyscale.problems import Problem

__all__ = [
    "AnyscaleError",
    "BatchGone",
    "BatchRefused",
    "BatchRunning",
    "BatchUnfinished",
    "ConfigError",
    "CrossOrigin",
    "FeatureUnavailable",
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
    "SignInRefused",
    "SsoRefused",
    "StoreUnavailable",
    "Throttled",
    "TooLarge",
    "Unavailable",
    "UserAmbiguous",
    "VersionMismatch",
]


class AnyscaleError(Exception):
    """Superclass of all errors of this package. Never raised itself."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def to_dict(self) -> dict[str, Any]:
        """Give the error as machines read it."""
        return {"code": self.code, "detail": str(self)}


class ConfigError(AnyscaleError):
    """The command line, the environment or the credentials file is wrong."""

    code = "config_invalid"
    status = 400


class FeatureUnavailable(AnyscaleError):
    """Batch creation is only available on customer-hosted clouds."""

    code = "feature_unavailable"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "user batch-create is only available on customer-hosted clouds, "
            "and the operator of this control plane has switched it off "
            "(ANYSCALE_BATCH_CREATE=off)."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the text, which the initialiser gives."""
        return type(self), ()


class BatchRefused(AnyscaleError):
    """Nobody was created: `problems` names every entry that is wrong, and why."""

    code = "batch_refused"
    status = 422

    #: Codes of problems that are not the file's fault.
    TAKEN: ClassVar[frozenset[str]] = frozenset({"email_exists", "email_held"})

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'' if len(self.problems) == 1 else 's'}"
        shown = "\n".join(str(problem) for problem in self.problems[:10])
        more = len(self.problems) - 10
        rest = f"\n... and {more} more in .problems" if more > 0 else ""
        super().__init__(f"{count}, nobody was created:\n{shown}{rest}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the problems, which is what the initialiser takes."""
        return type(self), (self.problems,)

    @property
    def input_is_at_fault(self) -> bool:
        """Whether any problem is in the input, rather than in who exists already."""
        return any(problem.code not in self.TAKEN for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Give the error with all of its problems."""
        return {"code": self.code, "problems": [problem.to_dict() for problem in self.problems]}


class BatchUnfinished(AnyscaleError):
    """The batch is not finished, or its outcome is not known: make the same call again."""

    code = "batch_unfinished"
    status = 503

    def __init__(self, detail: str, batch_id: str | None = None) -> None:
        super().__init__(detail)
        #: The batch that is left open; None where none is, or where it is not known.
        self.batch_id = batch_id


class BatchRunning(AnyscaleError):
    """Another process is working on the same batch."""

    code = "batch_running"
    status = 409


class BatchGone(AnyscaleError):
    """The batch was dropped or expired, or is in a state that does not allow the call."""

    code = "batch_gone"
    status = 409


class KeyReused(AnyscaleError):
    """The idempotency key belongs to a batch with other content."""

    code = "idempotency_key_reused"
    status = 409


class NotAuthenticated(AnyscaleError):
    """There is no token, or it is unknown, expired or revoked."""

    code = "not_authenticated"
    status = 401

    def __init__(self, detail: str, actor: str | None = None) -> None:
        super().__init__(detail)
        #: Whose token it was, where that is known.
        self.actor = actor


class NotPermitted(AnyscaleError):
    """The token's role does not allow the call."""

    code = "not_permitted"
    status = 403


class CrossOrigin(AnyscaleError):
    """A page of another site made a browser send a request that changes something."""

    code = "cross_origin"
    status = 403


class SignInRefused(AnyscaleError):
    """Nobody is signed in: the reason is given to whom it tells nothing new."""

    code = "sign_in_refused"
    status = 401


class SsoRefused(AnyscaleError):
    """What came back from the identity provider signs nobody in.

    Its text is the same for all reasons: it is shown to whoever sent the browser here.
    """

    code = "sso_refused"
    status = 403

    def __init__(self, reason: str, actor: str = "anonymous") -> None:
        super().__init__("the sign-in at your identity provider could not be accepted")
        #: The precise reason, for the log and the trail.
        self.reason = reason
        #: Whose account it would have been, where that is known.
        self.actor = actor

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by what the initialiser takes."""
        return type(self), (self.reason, self.actor)


class PasswordExpired(AnyscaleError):
    """The password that an administrator gave was not changed in time."""

    code = "password_expired"
    status = 403


class PasswordChangeNeeded(AnyscaleError):
    """The password that an administrator gave must be changed before anything else."""

    code = "password_change_needed"
    status = 403


class PasswordRefused(AnyscaleError):
    """A new password does not meet the policy."""

    code = "password_refused"
    status = 422


class LinkInvalid(AnyscaleError):
    """A one-time link was used, has expired, or never was."""

    code = "link_invalid"
    status = 410


class LinkRefused(AnyscaleError):
    """No one-time link is made: the account is suspended, or everybody signs in by SSO."""

    code = "link_refused"
    status = 409


class LastOwner(AnyscaleError):
    """The account is the only owner's that is not suspended: nobody could do without it."""

    code = "last_owner"
    status = 409


class RequestInvalid(AnyscaleError):
    """A request makes no sense: it is no JSON, or a field is missing or of a wrong kind."""

    code = "request_invalid"
    status = 400


class TooLarge(AnyscaleError):
    """More users, passwords or octets than the control plane takes at once."""

    code = "batch_too_large"
    status = 413


class Overloaded(AnyscaleError):
    """The control plane has too much to do: ask again later."""

    code = "overloaded"
    status = 429

    def __init__(self, detail: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        #: after which it makes sense to ask again
        self.retry_after_seconds = retry_after_seconds


class Throttled(Overloaded):
    """Too many wrong passwords, for an account or from an address."""

    code = "throttled"


class NotFound(AnyscaleError):
    """There is no such batch or user."""

    code = "not_found"
    status = 404


class UserAmbiguous(AnyscaleError):
    """Several users match: `emails` names them."""

    code = "user_ambiguous"
    status = 409

    def __init__(self, name: str, emails: Sequence[str]) -> None:
        self.name = name
        self.emails = list(emails)
        super().__init__(
            f"{len(self.emails)} users are named {name!r}: {', '.join(self.emails)}. "
            "Ask by email instead."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by what the initialiser takes."""
        return type(self), (self.name, self.emails)


class NotAControlPlane(AnyscaleError):
    """What answers at the host is something else."""

    code = "not_a_control_plane"
    status = 502


class VersionMismatch(AnyscaleError):
    """The control plane speaks another version of the interface."""

    code = "version_mismatch"
    status = 502


class Unavailable(AnyscaleError):
    """Superclass of what keeps a control plane from doing its part. Never raised itself."""

    code = "unavailable"
    status = 503

    def __init__(self, detail: str, *, begun: bool = False) -> None:
        super().__init__(detail)
        #: Whether something may have been done, so that the outcome is not known.
        self.begun = begun


class StoreUnavailable(Unavailable):
    """The control plane's database cannot be opened, read or written."""

    code = "store_unavailable"


class ProviderUnavailable(Unavailable):
    """The identity provider cannot be reached, or its answer is none: the text is an operator's."""

    code = "provider_unavailable"


class ServerUnreachable(Unavailable):
    """No answer of the control plane came over the network."""

    code = "server_unreachable"


class ServerFault(Unavailable):
    """A fault of the control plane itself."""

    code = "internal"
    status = 500
