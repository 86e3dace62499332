"""Users as `anyscale user export` writes them, and the manifest of the file."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class ExportedUser(Struct, frozen=True, gc=False, omit_defaults=True):
    """An account in a file: what `anyscale user batch-create` creates it from again."""

    name: str
    email: str
    lastname: str | None = None
    title: str | None = None
    is_sso_user: bool = False
    external_id: str | None = None
    #: whether the user cannot sign in
    suspended: bool = False
    #: whether the password is the one that an administrator set, which the user has to change
    password_initial: bool = False
    #: the id of the user at applications
    sub: str | None = None
    #: None for a collaborator. An import passes it over: nobody becomes an owner by a file.
    permission_level: str | None = None
    password_hash: str | None = None

    def __repr__(self) -> str:
        return f"ExportedUser({self.email!r})"


#: what belongs to accounts, and is in no export
NEVER_EXPORTED: Final = (
    "second_factors",
    "identities",
    "sessions",
    "personal_tokens",
    "links",
    "former_emails",
)


class Manifest(Struct, frozen=True, kw_only=True):
    """What a file of users contains, so that one that was cut or changed is noticed."""

    users: int
    #: the length of all lines before the manifest, in octets, or of the file beside it
    octets: int
    #: of these octets, in hexadecimal
    sha256: str
    #: scheme -> how many hashes of it the file has
    password_hashes: Mapping[str, int]
    #: What the file does not contain -> how many; None if the server does not tell how many.
    left_out: Mapping[str, int | None]
