"""Request bodies with users: decoded and validated, with all problems of all users at once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from anyscale.domain.schemas.batches import BatchCreate, LookUp, NewUser, UserChunk
from anyscale.domain.schemas.protocol import DECODE_ERRORS
from anyscale.domain.user_sources import WeakHash, split_weak_hash
from anyscale.domain.validation import (
    IMPORTED_FIELDS,
    CheckedUser,
    ChunkUser,
    Policy,
    check,
    find_faults,
)
from anyscale.errors import BatchRefused, Problem, TooLarge
from anyscale.server.http.bodies import check_value_count, invalid_body

UsersBody = TypeVar("UsersBody", BatchCreate, UserChunk, LookUp)

#: unknown keys that are reported for one user
_UNKNOWN_KEYS = 10

_USER_TYPES: dict[type[Any], type[NewUser | ChunkUser]] = {
    BatchCreate: NewUser,
    UserChunk: ChunkUser,
    LookUp: ChunkUser,
}


def decode_users(body: bytes, kind: type[UsersBody], policy: Policy) -> UsersBody:
    """Decode a body with users.

    Raises:
        BatchRefused: values of users are missing, unknown or of a wrong type.
        RequestInvalid: it is not JSON, or a value outside of the users is wrong.
        TooLarge: it has more users than a chunk.
    """
    check_value_count(body)
    try:
        decoded = msgspec.json.decode(body, type=kind)
    except DECODE_ERRORS as error:
        with suppress(*DECODE_ERRORS):
            _refuse_each(msgspec.json.decode(body), kind, policy)
        raise invalid_body(error) from None
    _check_count(decoded.create_users, policy)
    return decoded


def check_users(
    users: Sequence[NewUser], policy: Policy
) -> tuple[list[CheckedUser], list[WeakHash]]:
    """Validate users with their passwords, or raise `BatchRefused` with the problems of all.

    The weak hashes, which the policy accepts, come apart.
    """
    checked = _checked(users, [user.password for user in users], policy)
    pairs = [split_weak_hash(user, at) for at, user in enumerate(checked)]
    return [user for user, _ in pairs], [weak for _, weak in pairs if weak]


def passwords_of(users: Sequence[NewUser]) -> list[tuple[int, str]]:
    """Return the passwords, each with the position of its user."""
    return [(at, user.password) for at, user in enumerate(users) if user.password]


def check_chunk(users: Sequence[ChunkUser], policy: Policy, first: int = 0) -> list[CheckedUser]:
    """Validate users whose passwords come later, or raise `BatchRefused` with all problems.

    The first user has the position `first` in the batch.
    """
    valid = _checked(users, [None] * len(users), policy, first)
    if policy.sso_only:
        _refuse_passwords(users, first)
    return [
        msgspec.structs.replace(checked, has_password=True) if user.has_password else checked
        for user, checked in zip(users, valid, strict=True)
    ]


def _checked(
    users: Sequence[NewUser | ChunkUser],
    passwords: Sequence[str | None],
    policy: Policy,
    first: int = 0,
) -> list[CheckedUser]:
    # Not by `check_fields`: a second call for each user takes a tenth of the time. So do the fields
    # of other systems, which few users have.
    checked = [
        check(
            policy,
            name=user.name,
            email=user.email,
            password=password,
            is_sso_user=user.is_sso_user,
            lastname=user.lastname,
            title=user.title,
            external_id=user.external_id,
            imported=(
                _imported(user)
                if user.password_hash
                or user.suspended
                or user.password_initial
                or user.sub is not None
                else None
            ),
        )
        for user, password in zip(users, passwords, strict=True)
    ]
    valid = [user for user in checked if user is not None]
    if len(valid) == len(checked):
        return valid
    problems = [
        problem
        for at, (user, result) in enumerate(zip(users, checked, strict=True), first)
        if result is None
        for problem in _faults(at, msgspec.structs.asdict(user), policy)
    ]
    raise BatchRefused(problems)


def _imported(user: NewUser | ChunkUser) -> dict[str, Any]:
    return {field: getattr(user, field) for field in IMPORTED_FIELDS}


def _refuse_passwords(users: Sequence[ChunkUser], first: int) -> None:
    detail = "must be empty: everybody here signs in by SSO"
    problems = [
        Problem(index=at, field="password", code="sso_only", detail=detail)
        for at, user in enumerate(users, first)
        if user.has_password
    ]
    if problems:
        raise BatchRefused(problems)


def _faults(index: int, fields: dict[str, Any], policy: Policy) -> list[Problem]:
    known = {key: value for key, value in fields.items() if key != "has_password"}
    return [
        Problem(index=index, field=fault.field, code=fault.code, detail=fault.detail)
        for fault in find_faults(known, policy)
    ]


def _refuse_each(body: Any, kind: type[UsersBody], policy: Policy) -> None:
    """Validate each value by itself, since msgspec stops at the first wrong one."""
    users = body.get("create_users") if isinstance(body, dict) else None
    if not isinstance(users, list):
        return
    _check_count(users, policy)
    first = body.get("first", 0)
    problems = [
        problem
        for index, user in enumerate(users, first if isinstance(first, int) else 0)
        for problem in _problems_of(index, user, _USER_TYPES[kind], policy)
    ]
    if problems:
        raise BatchRefused(problems)


def _problems_of(
    index: int, user: Any, kind: type[NewUser | ChunkUser], policy: Policy
) -> Iterable[Problem]:
    with suppress(msgspec.ValidationError):  # nearly every user is of the right types
        yield from _faults(index, msgspec.structs.asdict(msgspec.convert(user, kind)), policy)
        return
    if not isinstance(user, dict):
        yield Problem(index=index, code="type", detail="a user is an object with keys and values")
        return
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    yield from _unknown_keys(index, user, list(fields))
    valid = {}
    for name, field in fields.items():
        if name not in user:
            if field.required:
                yield Problem(index=index, field=name, code="required", detail="is missing")
        elif _is_of(user[name], field.type):
            valid[name] = user[name]
        else:
            detail = f"must be {_describe(field.type)}"
            yield Problem(index=index, field=name, code="type", detail=detail)
    yield from _faults(index, valid, policy)


def _unknown_keys(index: int, user: dict[str, Any], known: list[str]) -> Iterator[Problem]:
    unknown = [key[:64] for key in user if key not in known]
    for key in unknown[:_UNKNOWN_KEYS]:
        detail = f"is not a key of a user{_mend(key, tuple(known))}"
        yield Problem(index=index, field=key, code="unknown_key", detail=detail)


@lru_cache(64)
def _mend(key: str, known: tuple[str, ...]) -> str:
    (meant, *_) = *get_close_matches(key.lower(), known, 1), ""
    return f": did you mean {meant!r}?" if meant else f"; there are {', '.join(known)}"


def _is_of(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _describe(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    return "a text" if kind is str else "a text or null"


def _check_count(users: Sequence[Any], policy: Policy) -> None:
    if len(users) > policy.chunk_users:
        raise TooLarge(f"{len(users)} users are more than a chunk: {policy.chunk_users}")
