"""The formats in which `anyscale user export` writes users."""

import csv
import io
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from msgspec import json

from anyscale.domain.models.exports import ExportedUser
from anyscale.domain.names import full_name
from anyscale.domain.spreadsheets import spreadsheet_cell


class ExportFormat(Protocol):
    """Turns users into lines."""

    #: what the file begins with
    head: str
    #: scheme -> how many hashes of it were written; None if all were
    hashes: Counter[str] | None

    def lines(self, users: Iterable[ExportedUser]) -> str:
        """Return the lines of some users."""


class JsonLines:
    """One JSON object a line, without the fields that have their usual values."""

    head = ""
    hashes = None

    def __init__(self, *, with_hashes: bool) -> None:
        """Take what each format takes."""

    def lines(self, users: Iterable[ExportedUser]) -> str:
        return json.Encoder().encode_lines(users).decode()


class Csv:
    """A row for each user, after the names of the fields; no cell starts a formula."""

    hashes = None

    def __init__(self, *, with_hashes: bool) -> None:
        fields = ExportedUser.__struct_fields__
        self._fields = fields if with_hashes else fields[:-1]
        self.head = ",".join(self._fields) + "\r\n"

    def lines(self, users: Iterable[ExportedUser]) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")  # RFC 4180, 2
        fields = self._fields
        rows = ([_cell(name, getattr(user, name)) for name in fields] for user in users)
        writer.writerows(rows)
        return buffer.getvalue()


def _cell(name: str, value: str | bool | None) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if name == "password_hash" else spreadsheet_cell(value)


class Ldif:
    """An entry `inetOrgPerson` for each user (RFC 2849, RFC 2798), for other systems.

    A line is never folded, so that tools for lines can replace the end of the names, `,ou=people`.
    There is no line with the version, which `slapadd` of OpenLDAP refuses. A suspended user is
    locked, since no attribute that every server has says so.
    """

    head = "dn: ou=people\nobjectClass: organizationalUnit\nou: people\n"

    def __init__(self, *, with_hashes: bool) -> None:  # noqa: ARG002 - as of each format
        self.hashes = Counter[str]()

    def lines(self, users: Iterable[ExportedUser]) -> str:
        return "".join(f"\n{''.join(self._entry(user))}" for user in users)

    def _entry(self, user: ExportedUser) -> Iterator[str]:
        # The value of `sub` has no character that a name would have to escape (RFC 4514).
        yield f"dn: uid={user.sub},ou=people\nobjectClass: inetOrgPerson\n"
        # A person has a last name (RFC 4519, 3.12).
        names = {"cn": full_name(user.name, user.lastname), "sn": user.lastname or user.name}
        values = {
            "uid": user.sub,
            **names,
            "givenName": user.name,
            "mail": user.email,
            "title": user.title,
            "employeeNumber": user.external_id,
            "userPassword": self._password(user),
        }
        for name, value in values.items():
            if value:
                yield _ldif_line(name, value)

    def _password(self, user: ExportedUser) -> str | None:
        if user.suspended:
            return _LOCKED
        text = user.password_hash
        if not text:
            return None
        scheme = next((name for start, name in _SCHEMES.items() if text.startswith(start)), None)
        if scheme is None:
            return None
        self.hashes[scheme.lower()] += 1
        return f"{{{scheme}}}{text}"


#: how shadow(5) locks an account: no password has such a hash
_LOCKED = "{CRYPT}!"

#: the beginning of a hash -> its scheme in LDAP; those of crypt(5) are bcrypt, SHA-crypt, yescrypt
_SCHEMES = {"$argon2": "ARGON2"} | dict.fromkeys(("$2", "$5$", "$6$", "$y$"), "CRYPT")


def _ldif_line(name: str, value: str) -> str:
    # RFC 2849: a SAFE-STRING is ASCII, and begins with none of these; a blank at its end is unsafe.
    if value.isascii() and value[0] not in " :<" and value[-1] != " ":
        return f"{name}: {value}\n"
    return f"{name}:: {b64encode(value.encode()).decode()}\n"


#: by their names on the command line
EXPORT_FORMATS: dict[str, Any] = {"jsonl": JsonLines, "csv": Csv, "ldif": Ldif}
