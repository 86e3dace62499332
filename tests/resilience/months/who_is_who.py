"""The rule of who is who, written from `docs/operations/who-is-who.md` alone: a row and an account.

`plan.py` has what a month does with it.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tests.resilience.months.office import Row

#: what a row and the account that it finds are: the same person, or a question of this kind
Kind = Literal["same", "other", "renumbered", "returned", "two", "alike", "letters"]


@dataclass(frozen=True)
class Account:
    """An account as `user list` shows it."""

    user_id: str
    email: str
    name: str
    lastname: str
    number: str
    is_owner: bool
    is_suspended: bool
    by_sync: bool

    @property
    def value_of(self) -> dict[str, str]:
        return {
            "email": self.email,
            "name": self.name,
            "lastname": self.lastname,
            "external_id": self.number,
        }


def judge_pair(row: Row, account: Account) -> Kind:
    """Say what a row and the account that it finds are, by the tables of the page."""
    names = compare_names(row, account)
    is_evidence = not _lacks_most_letters(whole_name(account.value_of))
    is_whole = names == "whole" and is_evidence
    if row.number and account.number and row.number != account.number:
        if not is_whole:
            return "other"
        return "returned" if account.is_suspended else "renumbered"
    is_same_email = row.email == account.email
    if account.by_sync:
        have_numbers = bool(row.number) == bool(account.number)
        return "same" if is_whole and is_same_email and have_numbers else "returned"
    if row.number and account.number:
        has_name = is_evidence and names in {"whole", "one"}
        return "same" if is_same_email or has_name else "other"
    return "other" if names == "none" and not _leaves_a_name(row, account) else "same"


def compare_names(row: Row, account: Account) -> Literal["whole", "one", "none", "unknown"]:
    """Say which names are the same; `unknown` if the row has none."""
    name, lastname = row.values.get("name", ""), row.values.get("lastname", "")
    if not name and not lastname:
        return "unknown"
    whole = whole_name(account.value_of)
    if name and _is_same(whole_name(row.values), whole):
        return "whole"
    if lastname and account.lastname:
        pairs = [(name, account.name), (lastname, account.lastname)]
    elif not name:
        pairs = [(lastname, whole.split()[-1])]
    else:
        ours, theirs = whole_name(row.values).split(), whole.split()
        pairs = [(ours[0], theirs[0])]
        if len(ours) > 1 and len(theirs) > 1:
            pairs.append((ours[-1], theirs[-1]))
    return "one" if any(one and _is_same(one, other) for one, other in pairs) else "none"


def is_damaged(row: Row, account: Account) -> bool:
    """Return whether a new value is the account's with letters replaced."""
    for key in ("name", "lastname"):
        value, old = row.values.get(key, ""), account.value_of[key]
        if value and value != old and (_is_replaced(value, old) or "\ufffd" in value):
            return True
    if not row.values.get("name"):
        return False
    words = whole_name(account.value_of).split()
    if account.lastname:
        swapped = plain(f"{account.lastname} {account.name}")
    else:
        swapped = " ".join([*words[-1:], *words[:-1]])
    ours = whole_name(row.values)
    return _is_replaced(ours, " ".join(words)) or _is_replaced(ours, swapped)


def may_have_name(row: Row, account: Account) -> bool:
    """Return whether the whole name is the same, also with `?` in place of letters of either."""
    if compare_names(row, account) == "whole":
        return True
    return _is_replaced(whole_name(row.values), whole_name(account.value_of))


def whole_name(values: dict[str, str]) -> str:
    """Give the first and the last name, which may be in one column already."""
    name, lastname = plain(values.get("name", "")), plain(values.get("lastname", ""))
    words = name.split()
    return name if len(words) > 1 and lastname in words else f"{name} {lastname}".strip()


def plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _is_same(ours: str, theirs: str) -> bool:
    return plain(ours) == plain(theirs) or _is_replaced(theirs, ours)


def _is_replaced(text: str, whole: str) -> bool:
    """Return whether `?` or U+FFFD stand for letters, or those that UTF-8 gives in Windows."""
    if text == whole or not whole:
        return False
    parts = re.split(r"([?\ufffd]+)", plain(text))
    pattern = "".join(
        rf"[^\W\d_]{{1,{len(part)}}}" if at % 2 else re.escape(part)
        for at, part in enumerate(parts)
    )
    misread = plain(whole.encode().decode("windows-1252", "replace"))
    is_lost = len(parts) > 1 and re.fullmatch(pattern, plain(whole))
    return bool(is_lost) or plain(text) == misread != plain(whole)


def _lacks_most_letters(whole: str) -> bool:
    signs = sum(whole.count(sign) for sign in "?\ufffd")
    return signs > sum(one.isalnum() for one in whole)


def _leaves_a_name(row: Row, account: Account) -> bool:
    """Return whether something of the former name is left, if no name is the same."""
    if not row.values.get("name"):
        return True
    words = whole_name(row.values).split()
    return bool("lastname" not in row.values and account.lastname and len(words) == 1)
