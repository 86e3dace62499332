"""The settings of mail. A module of its own: reading settings imports no SMTP."""

from typing import Literal

from msgspec import Struct

RelayTls = Literal["starttls", "tls", "none"]


class MailSettings(Struct, frozen=True, kw_only=True):
    """The relay that takes our mails, and how they are sent."""

    host: str
    port: int = 587
    #: `none` only on this machine
    tls: RelayTls = "starttls"
    #: Empty for a relay that needs no authentication.
    user: str = ""
    password: str = ""
    #: the address of the sender, which also gets what cannot be delivered
    sender: str
    #: mails that all servers of a control plane send in a minute
    per_minute: int = 60

    def __repr__(self) -> str:
        return f"MailSettings({self.host!r}, {self.port})"
