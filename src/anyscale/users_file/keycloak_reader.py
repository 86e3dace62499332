"""Read the users of a realm that Keycloak has exported: `kc.sh export --realm NAME`."""

import json
from collections.abc import Iterator
from typing import Any

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.export_reader import Mapped, read_export
from anyscale.users_file.input_stream import InputStream

__all__ = ["read_keycloak"]

_ADMINISTRATORS = {"admin", "realm-admin"}


def read_keycloak(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users, in order; see `read_export`."""
    return read_export(source, entries, "users", _map_user, {"groups": "groups"})


def _map_user(user: dict[str, Any]) -> Mapped:
    credentials = user.get("credentials") or []
    passwords = [one for one in credentials if one.get("type") == "password"]
    left_out = {
        "second factors": len(credentials) - len(passwords),
        "identities": len(user.get("federatedIdentities") or []),
    }
    roles = [user.get("realmRoles") or [], *(user.get("clientRoles") or {}).values()]
    is_administrator = any(_ADMINISTRATORS.intersection(some) for some in roles)
    if not user.get("email"):
        kind = (
            "service accounts" if user.get("serviceAccountClientId") else "users without an email"
        )
        return Mapped(None, kind, left_out=left_out)
    values = {
        "name": user.get("firstName") or user.get("username"),
        "lastname": user.get("lastName"),
        "email": user["email"],
        "password_hash": _hash(passwords[0]) if passwords else None,
        "suspended": user.get("enabled") is False,
    }
    return Mapped(values, is_administrator=is_administrator, left_out=left_out)


def _hash(credential: dict[str, Any]) -> str:
    """Return the text of a hash; of one that is not known, its algorithm, which is refused."""
    data = json.loads(credential.get("credentialData") or "null") or credential
    secret = json.loads(credential.get("secretData") or "null") or credential
    algorithm, iterations = str(data.get("algorithm", "")), data.get("hashIterations")
    tag = secret.get("value") or secret.get("hashedSaltedValue")
    if algorithm.startswith("pbkdf2"):
        return f"${algorithm}${iterations}${secret.get('salt')}${tag}"
    if algorithm == "argon2":
        extra = data.get("additionalParameters") or {}
        first = {name: values[0] for name, values in extra.items() if values}
        version = {"1.0": 16, "1.3": 19}.get(first.get("version", "1.3"))
        costs = f"m={first.get('memory')},t={iterations},p={first.get('parallelism')}"
        salt, tag = (str(text).rstrip("=") for text in (secret.get("salt"), tag))
        return f"$argon2{first.get('type', 'id')}$v={version}${costs}${salt}${tag}"
    return str(tag) if algorithm == "bcrypt" else f"of {algorithm[:20]}"
