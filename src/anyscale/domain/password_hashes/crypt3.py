"""What crypt(3) of Unix computes: bcrypt, SHA-crypt, yescrypt and, below every floor, MD5-crypt."""

import re
from collections.abc import Callable
from typing import NamedTuple

from anyscale.domain.password_hashes.parsed_hash import ParsedHash, RefusedHash, too_costly, unknown


class _Method(NamedTuple):
    scheme: str
    #: matches the settings, the costs among them, and the tag
    match: Callable[[str], re.Match[str] | None]


_SALT = "[./0-9A-Za-z]"

#: by the beginning of a hash; `$2x$` marks hashes of a broken program, and is none of them
_METHODS = {
    **dict.fromkeys(
        ("$2a$", "$2b$", "$2y$"),
        _Method(
            "bcrypt",
            re.compile(rf"(\$2[aby]\$(\d\d)\${_SALT}{{22}})({_SALT}{{31}})", re.ASCII).fullmatch,
        ),
    ),
    "$5$": _Method(
        "sha256-crypt",
        re.compile(
            rf"(\$5\$(?:rounds=([1-9]\d+)\$)?{_SALT}{{1,16}}\$)({_SALT}{{43}})", re.ASCII
        ).fullmatch,
    ),
    "$6$": _Method(
        "sha512-crypt",
        re.compile(
            rf"(\$6\$(?:rounds=([1-9]\d+)\$)?{_SALT}{{1,16}}\$)({_SALT}{{86}})", re.ASCII
        ).fullmatch,
    ),
    "$y$": _Method(
        "yescrypt",
        re.compile(rf"(\$y\$(j[./0-9A-Za-z]{{1,8}})\${_SALT}{{1,86}}\$)({_SALT}{{43}})").fullmatch,
    ),
    "$1$": _Method("md5-crypt", re.compile(rf"(\$1\$(){_SALT}{{0,8}}\$)({_SALT}{{22}})").fullmatch),
}

#: The caps, and the floors: OWASP's of bcrypt, the defaults of crypt(3) of the others.
_MAX_BCRYPT, _FLOOR_BCRYPT = 15, 10
_MAX_ROUNDS, _FLOOR_ROUNDS, _MIN_ROUNDS = 1_000_000, 5_000, 1_000

#: The strengths of yescrypt that crypt_gensalt(3) writes, from 1 MiB to 256 MiB.
_STRENGTHS = ("75", "85", "7T", "8T", "9T", "AT", "BT", "CT", "DT")
#: MiB
_YESCRYPT = {f"j{digit}": 1 << at for at, digit in enumerate(_STRENGTHS)}
_FLOOR_YESCRYPT = 16


class CryptHash(ParsedHash, frozen=True, gc=False):
    """A hash of crypt(3)."""

    scheme_name: str
    #: the beginning of the text, which crypt(3) takes as the setting
    setting: str
    #: Of bcrypt the cost, of SHA-crypt the rounds, of yescrypt MiB.
    cost: int
    #: Whether crypt(3) gets the SHA-256 of the password in hexadecimal digits, as in Django.
    is_sha256: bool = False

    @property
    def scheme(self) -> str:
        return self.scheme_name

    @property
    def weakness(self) -> str:
        if self.scheme == "bcrypt":
            is_weak, what, floor = self.cost < _FLOOR_BCRYPT, "has the cost", _FLOOR_BCRYPT
        elif self.scheme == "yescrypt":
            is_weak, what, floor = self.cost < _FLOOR_YESCRYPT, "uses MiB:", _FLOOR_YESCRYPT
        elif self.scheme == "md5-crypt":
            return "is an MD5-crypt hash, which is weak whatever its password is"
        else:
            is_weak, what, floor = self.cost < _FLOOR_ROUNDS, "has rounds:", _FLOOR_ROUNDS
        return f"{what} {self.cost}: the floor of {self.scheme} is {floor}" if is_weak else ""

    @property
    def milliseconds(self) -> int:
        if self.scheme == "bcrypt":
            return (1 << self.cost) // 20
        return 3 * self.cost if self.scheme == "yescrypt" else self.cost // 2_500


def parse_crypt(text: str) -> CryptHash:
    """Parse a hash of crypt(3).

    Raises:
        RefusedHash: it is none, or costs too much.
    """
    prefix = text[: text.find("$", 1) + 1]
    if prefix not in _METHODS:
        raise unknown("is of no scheme of crypt(3) that is read")
    scheme, matches = _METHODS[prefix]
    match = matches(text)
    if match is None:
        raise RefusedHash("password_hash_invalid", f"is not a complete hash of {scheme}")
    setting, cost, tag = match.groups()
    return CryptHash(
        scheme_name=scheme, setting=setting, cost=_cost(scheme, cost), tag=tag.encode()
    )


def _cost(scheme: str, text: str | None) -> int:
    if scheme == "md5-crypt":
        return _MIN_ROUNDS
    if scheme == "yescrypt":
        if text not in _YESCRYPT:
            raise too_costly(
                "has a strength that crypt_gensalt(3) does not write, or above 256 MiB"
            )
        return _YESCRYPT[text]
    cost = int((text or str(_FLOOR_ROUNDS))[:12])
    most, least = (_MAX_BCRYPT, 4) if scheme == "bcrypt" else (_MAX_ROUNDS, _MIN_ROUNDS)
    if cost > most:
        raise too_costly(f"has the cost {cost}; at most {most} is allowed of {scheme}")
    if cost < least:
        raise RefusedHash("password_hash_invalid", f"has a cost that {scheme} does not allow")
    return cost
