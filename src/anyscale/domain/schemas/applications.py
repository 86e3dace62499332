"""The bodies of the requests and responses of applications, besides the models themselves."""

from msgspec import Struct

from anyscale.domain.models.applications import Application


class ApplicationList(Struct, frozen=True):
    """All applications, the oldest first."""

    applications: list[Application]


class SecretRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """How to replace the secret of an application."""

    #: Whether the secret before stops working at once, and not after an hour.
    now: bool = False
