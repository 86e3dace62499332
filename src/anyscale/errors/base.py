"""Errors of the calls of a control plane: configuration, authentication, availability."""

from collections.abc import Sequence
from shlex import quote
from typing import Any, ClassVar, Self

#: emails that a message lists: a common first name has thousands
_MOST_EMAILS = 5


class AnyscaleError(Exception):
    """Superclass of all errors of this package. It is never raised itself."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the initialiser, whose arguments may be others than the message."""
        return Exception.__new__, (type(self), *self.args), self.__dict__

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain values, for JSON."""
        return {"code": self.code, "detail": str(self)}


class ConfigError(AnyscaleError):
    """The command line, the environment or the credentials file is wrong.

    `args` has a message for each thing that is wrong.
    """

    code = "config_invalid"
    status = 400

    #: the field that each message is about; empty if they are about no fields
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return all messages on one line."""
        return "; ".join(map(str, self.args))


class AlreadyReplaced(AnyscaleError):
    """The secret or link that the caller wants to replace was replaced before."""

    code = "already_replaced"
    status = 409


class NotAuthenticated(AnyscaleError):
    """There is no token, or it is unknown, expired or revoked."""

    code = "not_authenticated"
    status = 401

    def __init__(self, detail: str, actor: str | None = None) -> None:
        super().__init__(detail)
        #: The holder of the token as the audit log names it, if it is known.
        self.actor: str | None = actor


class NotPermitted(AnyscaleError):
    """The token's role does not allow the call."""

    code = "not_permitted"
    status = 403


class CsrfRejected(AnyscaleError):
    """A page of another site made a browser send a request that changes something."""

    code = "csrf_rejected"
    status = 403


class RequestInvalid(AnyscaleError):
    """A request is malformed: it is not JSON, or a field is missing or has a wrong type."""

    code = "request_invalid"
    status = 400


class TooLarge(AnyscaleError):
    """A request has more users, passwords or octets than the control plane accepts at once."""

    code = "batch_too_large"
    status = 413


class Overloaded(AnyscaleError):
    """The control plane is busy: retry later."""

    code = "overloaded"
    status = 429

    def __init__(self, detail: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        #: seconds to wait before the next attempt
        self.retry_after_seconds: float = retry_after_seconds


class NotFound(AnyscaleError):
    """There is no such batch or user."""

    code = "not_found"
    status = 404

    @classmethod
    def batch(cls, batch_id: str) -> Self:
        """Return the error for the id of a batch that does not exist. A user may leave it empty."""
        return cls(f"there is no batch {batch_id or repr(batch_id)}")

    @classmethod
    def application(cls, client_id: str) -> Self:
        """Return the error for the id of an application that does not exist."""
        shown = client_id or repr(client_id)
        return cls(f"there is no application {shown}: `anyscale application list` shows them")

    @classmethod
    def mailing(cls, which: str) -> Self:
        """Return the error for the id of a mailing, or of its batch, that does not exist."""
        return cls(f"there is no mailing of {which!r}: `anyscale mail list` shows what is due")


class UserAmbiguous(AnyscaleError):
    """Several users match: `emails` lists all of them, the message the first few."""

    code = "user_ambiguous"
    status = 409

    def __init__(self, name: str, emails: Sequence[str]) -> None:
        self.name: str = name
        self.emails: list[str] = list(emails)
        listed = ", ".join(self.emails[:_MOST_EMAILS])
        advice = "Name one by email instead."
        if (more := len(self.emails) - _MOST_EMAILS) > 0:
            listed += f" and {more:,} more"
            advice = f"Name one by email; `anyscale user list --name {quote(name)}` lists all."
        super().__init__(f"{len(self.emails):,} users are named {name!r}: {listed}. {advice}")


class NotAControlPlane(AnyscaleError):
    """Another program answers at the host."""

    code = "not_a_control_plane"
    status = 502


class VersionMismatch(AnyscaleError):
    """The control plane has another version of the interface."""

    code = "version_mismatch"
    status = 502


class Unavailable(AnyscaleError):
    """Superclass of the reasons why the control plane cannot handle a call now."""

    code = "unavailable"
    status = 503

    def __init__(self, detail: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(detail)
        #: Whether the call may have changed something, so that its outcome is unknown.
        self.outcome_unknown: bool = outcome_unknown


class StoreUnavailable(Unavailable):
    """The control plane's database cannot be opened, read or written."""

    code = "store_unavailable"


class HashingUnavailable(Unavailable):
    """The control plane has no memory or no process to hash passwords."""

    code = "hashing_unavailable"


class ProviderUnavailable(Unavailable):
    """The identity provider does not respond, or not correctly. The text is for operators."""

    code = "provider_unavailable"


class ServerUnreachable(Unavailable):
    """No response of the control plane came over the network."""

    code = "server_unreachable"


class ServerFault(Unavailable):
    """A bug in the control plane."""

    code = "internal"
    status = 500
