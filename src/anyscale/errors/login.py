"""Errors of sign-in and of the accounts of users."""

from anyscale.errors.base import AnyscaleError, Overloaded


class InvalidCredentials(AnyscaleError):
    """Email or password is wrong, or the account is suspended.

    The text is the same in each case, so that it does not reveal which accounts exist.
    """

    code = "invalid_credentials"
    status = 401


class SsoRefused(AnyscaleError):
    """The response of the identity provider was not accepted.

    The message is the same for all reasons, since an attacker may have sent the browser here.
    """

    code = "sso_refused"
    status = 403

    def __init__(self, reason: str, actor: str = "anonymous", *, detail: str = "") -> None:
        super().__init__("the sign-in at your identity provider could not be accepted")
        #: The exact reason, for the server's log and the audit log.
        self.reason: str = reason
        #: What was wrong, only for the server's log: an algorithm, an issuer, an error code.
        self.detail: str = detail
        #: The account as the audit log names it, if it is known.
        self.actor: str = actor


class PasswordExpired(AnyscaleError):
    """The password that an administrator set was not changed in time."""

    code = "password_expired"
    status = 403


class PasswordChangeNeeded(AnyscaleError):
    """The password that an administrator set must be changed before anything else."""

    code = "password_change_needed"
    status = 403


class PasswordRefused(AnyscaleError):
    """A new password violates the policy."""

    code = "password_refused"
    status = 422


class LinkInvalid(AnyscaleError):
    """A one-time link is unknown, used or expired."""

    code = "link_invalid"
    status = 410


class LinkRefused(AnyscaleError):
    """No one-time link can be created: the account is suspended, or SSO is the only sign-in."""

    code = "link_refused"
    status = 409


class MailUnavailable(AnyscaleError):
    """No mail can be sent: the control plane has no relay, or is an embedded one."""

    code = "mail_unavailable"
    status = 409


class LastOwner(AnyscaleError):
    """The account is the last owner that is not suspended: the organization needs one."""

    code = "last_owner"
    status = 409


class ExternalIdTaken(AnyscaleError):
    """An account cannot get an external id: another account or an open batch has it."""

    code = "external_id_taken"
    status = 409


class EmailTaken(AnyscaleError):
    """An account cannot get an email: another account or an open batch has it."""

    code = "email_taken"
    status = 409


class EmailFreed(EmailTaken):
    """An account gets an email only on request: another account had it a short time ago.

    Applications may know the former user by it.
    """

    code = "email_freed"


class OwnerKept(AnyscaleError):
    """The account is an owner's, and the call says to keep owners."""

    code = "owner_kept"
    status = 409


class AccountEdited(AnyscaleError):
    """A field of the account has another value than the call expects: somebody has edited it."""

    code = "account_edited"
    status = 409


class TooManyPasswordResets(Overloaded):
    """Too many links were requested for an email, or from a network."""

    code = "too_many_password_resets"


class TooManyFailedLogins(Overloaded):
    """Too many wrong passwords, for an account or from an address."""

    code = "throttled"
