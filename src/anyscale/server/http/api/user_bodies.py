"""Bodies of requests: read within a bound, and checked for all of their problems at once."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from anyscale.api_schemas import BatchCreate, ChunkUser, LookUp, NewUser, UserChunk
from anyscale.errors import BatchRefused, Problem, RequestInvalid, TooLarge
from anyscale.user.passwords import normalized
from anyscale.user.validation import CheckedUser, Policy, check, find_faults

__all__ = ["checked_chunk", "checked_users", "decoded", "decoded_users", "passwords_of"]

Body = TypeVar("Body")
UsersBody = TypeVar("UsersBody", BatchCreate, UserChunk, LookUp)

_USERS = "create_users"

#: of one user that are named; more would only fill the answer
_UNKNOWN_KEYS = 10

_KINDS: dict[type[Any], type[NewUser | ChunkUser]] = {
    BatchCreate: NewUser,
    UserChunk: ChunkUser,
    LookUp: ChunkUser,
}


def decoded(body: bytes, kind: type[Body]) -> Body:
    """Read JSON of a kind.

    Raises:
        RequestInvalid: it is not.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestInvalid(f"the body is not what this call takes: {error}") from None


def decoded_users(body: bytes, kind: type[UsersBody], policy: Policy) -> UsersBody:
    """Read JSON with users; of those that are wrong, name everything that is.

    Raises:
        BatchRefused: values of users are missing, unknown or of a wrong kind.
        RequestInvalid: it is no JSON, or wrong but for the users.
        TooLarge: it has more users than a chunk.
    """
    try:
        found = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _everything_wrong(body, kind, policy) or RequestInvalid(
            f"the body is not what this call takes: {error}"
        ) from None
    _check_count(found.create_users, policy)
    return found


def checked_users(users: Sequence[NewUser], policy: Policy) -> list[CheckedUser]:
    """Check users by the rules.

    Raises:
        BatchRefused: naming everything that is wrong.
    """
    checked = [
        check(
            user.name,
            user.email,
            user.password,
            user.is_sso_user,
            user.lastname,
            user.title,
            policy,
        )
        for user in users
    ]
    return _all_right(checked, users, policy)


def passwords_of(users: Sequence[NewUser]) -> list[tuple[int, str]]:
    """Return the passwords in the form that is hashed, each with the position of its user."""
    return [(at, normalized(user.password)) for at, user in enumerate(users) if user.password]


def checked_chunk(users: Sequence[ChunkUser], policy: Policy, first: int = 0) -> list[CheckedUser]:
    """Check users whose passwords come later.

    Args:
        users: of a chunk.
        policy: the control plane's.
        first: the position of the first of them.

    Raises:
        BatchRefused: naming everything that is wrong.
    """
    checked = [
        check(user.name, user.email, None, user.is_sso_user, user.lastname, user.title, policy)
        for user in users
    ]
    right = _all_right(checked, users, policy, first)
    if policy.sso_only:
        _refuse_passwords(users, first)
    return [
        msgspec.structs.replace(one, has_password=True) if user.has_password else one
        for one, user in zip(right, users, strict=True)
    ]


def _all_right(
    checked: Sequence[CheckedUser | None],
    users: Sequence[NewUser] | Sequence[ChunkUser],
    policy: Policy,
    first: int = 0,
) -> list[CheckedUser]:
    right = [user for user in checked if user is not None]
    if len(right) == len(checked):
        return right
    wrong = [at for at, user in enumerate(checked) if user is None]
    raise BatchRefused([p for at in wrong for p in _faults(first + at, _plain(users[at]), policy)])


def _refuse_passwords(users: Sequence[ChunkUser], first: int) -> None:
    detail = "must be empty: everybody here signs in by SSO"
    problems = [
        Problem(index=at, field="password", code="sso_only", detail=detail)
        for at, user in enumerate(users, first)
        if user.has_password
    ]
    if problems:
        raise BatchRefused(problems)


def _plain(user: NewUser | ChunkUser) -> dict[str, Any]:
    return msgspec.structs.asdict(user)


def _faults(index: int, fields: dict[str, Any], policy: Policy) -> list[Problem]:
    known = {key: value for key, value in fields.items() if key != "has_password"}
    return [
        Problem(index=index, field=fault.field, code=fault.code, detail=fault.detail)
        for fault in find_faults(known, policy)
    ]


def _everything_wrong(
    body: bytes, kind: type[UsersBody], policy: Policy
) -> BatchRefused | TooLarge | None:
    """Look at each value of a body that is not of its kind, rather than at the first one only."""
    try:
        raw: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # it is no JSON, though it may begin as such
    users: Any = raw.get(_USERS) if isinstance(raw, dict) else None
    if not isinstance(users, list):
        return None
    try:
        _check_count(users, policy)
    except TooLarge as error:
        return error
    first = raw.get("first", 0)
    first = first if isinstance(first, int) else 0
    problems = [
        problem
        for index, user in enumerate(users, first)
        for problem in _wrong_values(index, user, _KINDS[kind], policy)
    ]
    return BatchRefused(problems) if problems else None


def _wrong_values(
    index: int, user: Any, kind: type[NewUser | ChunkUser], policy: Policy
) -> Iterable[Problem]:
    if not isinstance(user, dict):
        yield Problem(index=index, code="type", detail="a user is an object with keys and values")
        return
    kinds = {field.name: field for field in msgspec.structs.fields(kind)}
    right, unknown = {}, 0
    for key, value in user.items():
        if key not in kinds and unknown == _UNKNOWN_KEYS:
            continue
        if key not in kinds:
            unknown += 1
            detail = f"is no key of a user; there are {', '.join(kinds)}"
            yield Problem(index=index, field=str(key)[:64], code="unknown_key", detail=detail)
        elif not _is_of(value, kinds[key].type):
            detail = f"must be {_named(kinds[key].type)}"
            yield Problem(index=index, field=key, code="type", detail=detail)
        else:
            right[key] = value
    for name, field in kinds.items():
        if field.required and name not in user:
            yield Problem(index=index, field=name, code="required", detail="is missing")
    yield from _faults(index, right, policy)


def _is_of(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _named(kind: Any) -> str:
    if kind is bool:
        return "true or false"
    return "a text" if kind is str else "a text or null"


def _check_count(users: Sequence[Any], policy: Policy) -> None:
    if len(users) > policy.chunk_users:
        raise TooLarge(f"{len(users)} users are more than a chunk: {policy.chunk_users}")
