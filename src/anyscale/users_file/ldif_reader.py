"""Read users from LDIF (RFC 2849), as `slapcat` and `ldapsearch` write it."""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.entry_collector import EntryCollector, Place, PlacedFault
from anyscale.users_file.input_stream import InputStream
from anyscale.users_file.manifest import COMMENT

#: attribute -> field, in lower case; of several attributes of a field the first one counts
_FIELDS = {
    "givenname": "name",
    "cn": "name",
    "sn": "lastname",
    "mail": "email",
    "title": "title",
    "employeenumber": "external_id",
    "userpassword": "password_hash",
}

#: what locked accounts have: of OpenLDAP, of 389 Directory Server and of Active Directory
_LOCKS = ("pwdaccountlockedtime", "nsaccountlock", "useraccountcontrol")

#: the time of a lock of OpenLDAP that an administrator has set, and that does not end
_FOR_EVER = "000001010000z"

#: what OpenLDAP has where an administrator has chosen the password, which has to be changed
_RESET = "pwdreset"

_WANTED = frozenset((*_FIELDS, *_LOCKS, _RESET, "dn", "objectclass", "changetype"))

_PEOPLE = {"person", "organizationalperson", "inetorgperson", "posixaccount", "account", "user"}
_GROUPS = {"groupofnames", "groupofuniquenames", "posixgroup", "group", "groupofmembers"}

#: the bit of `userAccountControl` that disables an account
_DISABLED = 2

#: how shadow(5) and usermod(8) lock a hash
_locked_hash = re.compile(r"(?:\{crypt\})?[!*]+", re.IGNORECASE).match

#: the name of the first entry of an export; no directory has one of that name at its top
_EXPORT = "ou=people"

#: how the password of a user begins whom another system signs in
_elsewhere = re.compile(r"\{(?:sasl|kerberos)\}", re.IGNORECASE).match

_line = re.compile(r"([A-Za-z0-9.;-]+):(:|<)?[ ]*").match

_SYNTAX = (
    "not valid LDIF: a line is ATTRIBUTE: VALUE, or begins with a blank that continues the last"
)


_OLD_MAC = "the file has line ends of old Macs (CR): save it with LF or CRLF"


class _Value(NamedTuple):
    text: str
    place: Place

    def __repr__(self) -> str:
        return f"_Value({self.place!r})"


def read_ldif(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the people of an LDIF file, in order; problems go to `entries`.

    Other entries are counted by kind.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    entry: dict[str, list[_Value]] = {}
    is_empty = True
    for line in _logical_lines(source):
        if line.text.startswith(COMMENT):
            entries.take_manifest(line.text.removeprefix(COMMENT), line.place)
        elif line.text:
            _take(line, entry, source)
        elif entry:
            _require_name(entry, source)
            is_empty = False
            if user := _user(entry, entries):
                yield user
        if not line.text:
            entry = {}
    if is_empty:
        raise source.fatal("empty", "the file has no entries: each begins with dn: ...", 1, 1)


def _logical_lines(source: InputStream) -> Iterator[_Value]:
    """Yield lines with those that continue them; an empty one ends an entry, and the file.

    No comment is among them but the manifest of an export.
    """
    parts, number, first = [""], 0, 1
    for text in chain(_lines(source), [""]):
        number += 1
        if "\r" in text:
            raise source.fatal("syntax", _OLD_MAC, number, text.index("\r") + 1)
        if text.startswith(" "):
            parts.append(text[1:])
            continue
        line = "".join(parts)
        if not line.startswith("#") or line.startswith(COMMENT):
            yield _Value(line, Place(first, 1))
        parts, first = [text], number
    yield _Value("", Place(number, 1))


def _lines(source: InputStream) -> Iterator[str]:
    rest = ""
    for piece in iter(source.read_text, ""):
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line.removesuffix("\r")
    if rest:
        yield rest.removesuffix("\r")


def _take(line: _Value, entry: dict[str, list[_Value]], source: InputStream) -> None:
    """Add the value of a line to an entry, if it is of an attribute that is read."""
    match = _line(line.text)
    if match is None:
        raise source.fatal("syntax", _SYNTAX, *line.place)
    name, kind = match[1].lower(), match[2]
    if name not in _WANTED:
        return
    if name == "dn" in entry:  # two persons would be one
        raise source.fatal("syntax", "a blank line is missing before this entry", *line.place)
    text, place = line.text[match.end() :], Place(line.place.line, match.end() + 1)
    if kind == "<":
        raise source.fatal("syntax", f"{match[1]} is in another file: export it whole", *place)
    if kind == ":":
        try:
            text = b64decode(text, validate=True).decode()
        except (Error, ValueError):
            detail = f"{match[1]} is not base64 of UTF-8 text"
            raise source.fatal("syntax", detail, *place) from None
    if name == "changetype":
        if text.strip().lower() == "add":  # ldifde of Active Directory writes whole entries so
            return
        raise source.fatal("syntax", "this file lists changes: export the entries", *line.place)
    entry.setdefault(name, []).append(_Value(text, place))


def _require_name(entry: dict[str, list[_Value]], source: InputStream) -> None:
    """Raise `Fatal` if attributes are not under a `dn`: they are the rest of another entry."""
    if "dn" not in entry:
        ((_, place), *_), *_ = entry.values()
        detail = "this is not under the dn: of an entry: remove the blank line above it"
        raise source.fatal("syntax", detail, place.line, 1)


def _user(entry: dict[str, list[_Value]], entries: EntryCollector) -> CheckedUser | None:
    classes = {value.text.lower() for value in entry.get("objectclass", ())}
    entries.notes.is_exported |= entry["dn"][0].text == _EXPORT
    if not classes & _PEOPLE:
        kind = "groups" if classes & _GROUPS else "entries that are not people"
        entries.notes.left_out[kind] += 1
        return None
    if "mail" not in entry:
        entries.notes.left_out["people without an email"] += 1
        return None
    values: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for attribute, field in _FIELDS.items():
        found = entry.get(attribute)
        if found and field not in values:
            values[field], places[field] = found[0].text, found[0].place
    faults = _password(values, places, entries)
    if _is_locked(entry):
        values["suspended"] = True
    if "password_hash" in values:
        values["password_initial"] = _is_true(entry, _RESET)
    user = entries.finish(entry["dn"][0].place, values, places, faults)
    # How long it lasts, `pwdLockoutDuration` says, which is in another entry or in no entry.
    if user and any(time.text.lower() != _FOR_EVER for time in entry.get(_LOCKS[0], ())):
        entries.notes.locked_out += 1
    return user


def _password(
    values: dict[str, Any], places: dict[str, Place], entries: EntryCollector
) -> list[PlacedFault]:
    """Leave out a password that is locked or elsewhere; return the fault of one in plain text."""
    text = values.get("password_hash", "")
    if _locked_hash(text):
        del values["password_hash"]
        values["suspended"] = True
    elif _elsewhere(text):
        del values["password_hash"]
        entries.notes.belongings["passwords that SASL or Kerberos verifies"] += 1
    elif text and text[0] not in "{$":
        del values["password_hash"]
        detail = "is a password as it was typed, and not a hash: remove this line"
        field = "password_hash"
        return [PlacedFault(places[field], field, "password_hash_unknown", detail)]
    return []


def _is_true(entry: dict[str, list[_Value]], attribute: str) -> bool:
    return any(value.text.lower() == "true" for value in entry.get(attribute, ()))


def _is_locked(entry: dict[str, list[_Value]]) -> bool:
    if _LOCKS[0] in entry or _is_true(entry, "nsaccountlock"):
        return True
    flags = [value.text for value in entry.get("useraccountcontrol", ())]
    return any(flag.isdecimal() and int(flag[:10]) & _DISABLED for flag in flags)
