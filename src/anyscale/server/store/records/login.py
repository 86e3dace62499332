"""The records of sessions, half sign-ins and set-password links."""

from anyscale.server.store.records.record import Record


class SessionRecord(Record, frozen=True):
    """A signed-in browser. Of its cookie only the hash is stored."""

    session_id: str
    user_id: str
    #: SHA-256 of the cookie
    hash: bytes
    #: `password`, `link`, `sso` or `passkey`: how the sign-in began
    auth_method: str
    #: the network address of the client
    address: str
    #: the `User-Agent` header, shortened
    user_agent: str
    #: When the user proved to be present; None if the identity provider did not say it.
    authenticated_at: int | None
    created_at: int
    used_at: int
    #: when the session expires, however much it is used
    expires_at: int
    #: what the user showed: see `core.shown_methods`
    methods: str = ""
    #: from when on adding a second factor comes first; None if none is due
    factor_due_at: int | None = None


class HalfSignInRecord(Record, frozen=True):
    """A sign-in that needs a second factor. Of its cookie only the hash is stored."""

    #: SHA-256 of the cookie
    hash: bytes
    user_id: str
    #: the session whose user signs in again; empty if the sign-in creates a session
    session_id: str
    #: of the first factor, as in `SessionRecord`
    auth_method: str
    methods: str
    authenticated_at: int | None
    #: the address where the user continues: a path of ours, perhaps with an application's request
    path: str
    created_at: int

    def __repr__(self) -> str:
        return f"HalfSignInRecord({self.user_id!r})"


class LinkRecord(Record, frozen=True):
    """A one-time link to set a password. Of its secret only the hash is stored."""

    user_id: str
    #: SHA-256 of the secret
    hash: bytes
    created_by: str
    created_at: int
    expires_at: int
    #: A link replaces the one of its account that has the same kind. `admin`: of an administrator;
    #: `self`: requested by a person who forgot the password.
    kind: str = "admin"
    #: The mail and the attempt to send it, until the relay has accepted it: the link works, and has
    #: replaced no other one yet. Else empty.
    mail: str = ""


class UnusedLinks(Record, frozen=True):
    """The links of some accounts that are neither used nor expired."""

    count: int
    #: when the newest one was created; 0 without any
    newest: int
    #: when the first of them expires; 0 without any
    until: int

    def with_others(self, others: "UnusedLinks") -> "UnusedLinks":
        """Return the numbers of these links and of those of other accounts."""
        until = min(filter(None, (self.until, others.until)), default=0)
        return UnusedLinks(self.count + others.count, max(self.newest, others.newest), until)
