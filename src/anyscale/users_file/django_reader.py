"""Read the users of Django: `django-admin dumpdata auth`, or of a model of one's own."""

from collections.abc import Iterator
from typing import Any

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.export_reader import Mapped, read_export
from anyscale.users_file.input_stream import InputStream

__all__ = ["read_django"]

#: how the field `password` of a user begins who has none
_UNUSABLE = "!"


def read_django(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users, in order; see `read_export`."""
    return read_export(source, entries, "users", _map_object, {})


def _map_object(one: dict[str, Any]) -> Mapped:
    model, fields = str(one.get("model", "")), one.get("fields")
    # A model of one's own has another name, and the fields of `AbstractBaseUser`.
    if not isinstance(fields, dict) or not {"password", "last_login"}.issubset(fields):
        return Mapped(None, "groups" if model == "auth.group" else "objects that are not users")
    is_administrator = bool(fields.get("is_superuser") or fields.get("is_staff"))
    if not fields.get("email"):
        return Mapped(None, "users without an email")
    password = fields.get("password") or ""
    values = {
        "name": fields.get("first_name") or fields.get("username") or fields.get("name"),
        "lastname": fields.get("last_name"),
        "email": fields["email"],
        "password_hash": None if password.startswith(_UNUSABLE) else password,
        "suspended": fields.get("is_active") is False,
    }
    return Mapped(values, is_administrator=is_administrator)
