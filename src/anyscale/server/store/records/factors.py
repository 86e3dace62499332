"""The records of second factors."""

from typing import Literal

from anyscale.server.store.records.record import Record

FactorKind = Literal["totp", "passkey"]


class FactorRecord(Record, frozen=True, kw_only=True):
    """A second factor of an account: an app that shows one-time codes, or a passkey."""

    factor_id: str
    user_id: str
    kind: FactorKind
    #: of an app that has shown no code yet: the id of the session that has begun it
    name: str
    created_at: int
    #: when its first code was shown; None until then, and it does not count
    confirmed_at: int | None = None
    #: of the session that has begun to add it; None from its first code on
    session_id: str | None = None
    used_at: int | None = None
    #: of an app: encrypted, see `core.second_factor.seeds`
    seed: str | None = None
    #: of an app: the time step of the newest code that was accepted
    last_step: int | None = None
    #: of a passkey, as the following ones (WebAuthn Level 3)
    credential_id: bytes | None = None
    #: a COSE key
    public_key: bytes | None = None
    #: how often the authenticator has signed, as it says itself
    counter: int | None = None
    #: whether it is or may be stored in more than one device
    can_be_backed_up: bool | None = None
    #: names separated by blanks
    transports: str | None = None
    #: the host name for which it was created, and works
    rp_id: str | None = None

    def __repr__(self) -> str:
        return f"FactorRecord({self.factor_id!r})"


class FactorState(Record, frozen=True, kw_only=True):
    """What an account without a second factor has to do, and its wrong codes."""

    user_id: str
    #: when the account first signed in while a second factor was required of it
    required_since: int | None = None
    #: wrong codes since the last right one
    failures: int = 0
    #: when the current time span of wrong codes began, and how many it has
    window_at: int = 0
    window_failures: int = 0
