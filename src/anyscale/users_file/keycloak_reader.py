"""Read the users of a realm that Keycloak has exported: `kc.sh export --realm NAME`."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, ValidationError, convert, json

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.export_reader import Mapped, read_export
from anyscale.users_file.input_stream import InputStream

_ADMINISTRATORS = {"admin", "realm-admin"}

#: the types of credentials that are passwords: the present one, and those before it
_PASSWORDS = ("password", "password-history")

#: what a user has to do whose password an administrator has chosen
_NEW_ONE = "UPDATE_PASSWORD"


#: what a user has to do whose email nobody has verified, or is about to change
_OPEN_EMAILS = frozenset({"VERIFY_EMAIL", "UPDATE_EMAIL"})


class _Hashed(Struct, rename="camel"):
    """The parameters and the tag of a hash."""

    algorithm: str | None = None
    hash_iterations: int | None = None
    additional_parameters: dict[str, list[str]] | None = None
    salt: str | None = None
    value: str | None = None
    hashed_salted_value: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.algorithm!r})"


class _Credential(_Hashed, rename="camel"):
    """A password or a second factor: with texts of JSON, or as before Keycloak 8, with fields."""

    type: str | None = None
    credential_data: str | None = None
    secret_data: str | None = None


class _User(Struct, rename="camel"):
    """What is read of a user."""

    email: str | None = None
    email_verified: bool | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    enabled: bool | None = None
    credentials: list[_Credential] | None = None
    federated_identities: list[Any] | None = None
    realm_roles: list[str] | None = None
    client_roles: dict[str, list[str]] | None = None
    service_account_client_id: str | None = None
    required_actions: list[str] | None = None


def read_keycloak(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users, in order; see `read_export`."""
    return read_export(source, entries, _map_user, {"groups": "groups"})


def _map_user(entry: dict[str, Any]) -> Mapped:
    if "realm" in entry:  # `kc.sh export` writes a list of them without `--realm`
        raise ValidationError("it is a realm, and not a user; export it by --realm")
    user = convert(entry, _User)
    credentials = user.credentials or []
    passwords = [one for one in credentials if one.type == "password"]
    left_out = {
        "second factors": sum(one.type not in _PASSWORDS for one in credentials),
        "identities": len(user.federated_identities or []),
    }
    roles = [user.realm_roles or [], *(user.client_roles or {}).values()]
    is_administrator = any(_ADMINISTRATORS.intersection(some) for some in roles)
    if not user.email:
        kind = "service accounts" if user.service_account_client_id else "users without an email"
        return Mapped(None, kind, left_out=left_out)
    # Keycloak would not let this user in, and applications are told that all emails here are
    # verified: anybody may have registered the email of somebody else.
    if user.email_verified is False or _OPEN_EMAILS.intersection(user.required_actions or []):
        return Mapped(None, "users whose email is not verified", left_out=left_out)
    values = {
        "name": user.first_name or user.username,
        "lastname": user.last_name,
        "email": user.email,
        "password_hash": _hash(passwords[0]) if passwords else None,
        "suspended": user.enabled is False,
        "password_initial": bool(passwords) and _NEW_ONE in (user.required_actions or []),
    }
    return Mapped(values, is_administrator=is_administrator, left_out=left_out)


def _hash(credential: _Credential) -> str:
    """Return the text of a hash; of one that is not known, its algorithm, which is refused."""
    data = json.decode(credential.credential_data or "null", type=_Hashed | None) or credential
    secret = json.decode(credential.secret_data or "null", type=_Hashed | None) or credential
    algorithm, iterations = data.algorithm or "", data.hash_iterations
    tag = secret.value or secret.hashed_salted_value
    if algorithm.startswith("pbkdf2"):
        return f"${algorithm}${iterations}${secret.salt}${tag}"
    if algorithm == "argon2":
        extra = data.additional_parameters or {}
        first = {name: values[0] for name, values in extra.items() if values}
        version = {"1.0": 16, "1.3": 19}.get(first.get("version", "1.3"))
        costs = f"m={first.get('memory')},t={iterations},p={first.get('parallelism')}"
        salt, tag = (str(text).rstrip("=") for text in (secret.salt, tag))
        return f"$argon2{first.get('type', 'id')}$v={version}${costs}${salt}${tag}"
    return str(tag) if algorithm == "bcrypt" else f"of {algorithm[:20]}"
