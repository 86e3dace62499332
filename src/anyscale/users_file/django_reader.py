"""Read the users of Django: `django-admin dumpdata auth`, or of a model of one's own."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, convert

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.export_reader import Mapped, read_export
from anyscale.users_file.input_stream import InputStream

#: how the field `password` of a user begins who has none
_UNUSABLE = "!"


class _Fields(Struct):
    """What is read of a user."""

    email: str | None = None
    password: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    name: str | None = None
    is_active: bool | None = None
    is_staff: bool | None = None
    is_superuser: bool | None = None

    def __repr__(self) -> str:
        return f"_Fields({self.email!r})"


def read_django(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users, in order; see `read_export`."""
    return read_export(source, entries, _map_object, {})


def _map_object(one: dict[str, Any]) -> Mapped:
    model, fields = str(one.get("model", "")), one.get("fields")
    # A model of one's own has another name, and the fields of `AbstractBaseUser`.
    if not isinstance(fields, dict) or not {"password", "last_login"}.issubset(fields):
        return Mapped(None, "groups" if model == "auth.group" else "objects that are not users")
    user = convert(fields, _Fields)
    is_administrator = bool(user.is_superuser or user.is_staff)
    if not user.email:
        return Mapped(None, "users without an email")
    password = user.password or ""
    values = {
        "name": user.first_name or user.username or user.name,
        "lastname": user.last_name,
        "email": user.email,
        "password_hash": None if password.startswith(_UNUSABLE) else password,
        "suspended": user.is_active is False,
    }
    return Mapped(values, is_administrator=is_administrator)
