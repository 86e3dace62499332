"""The rules for users, and the messages of their problems: the same in client and control plane."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import UNSET, Struct, structs

from anyscale.domain.characters import INVISIBLE, character_detail, damage_of, may_be_damaged
from anyscale.domain.emails import MAX_OCTETS, email_key
from anyscale.domain.external_ids import (
    blank_fault,
    is_plain_external_id,
    normalized_external_id,
)
from anyscale.domain.models.users import AdminCreateUser, AdminImportUser, User, UserChanges
from anyscale.domain.password_hashes import SCHEMES, can_be_imported
from anyscale.domain.passwords import FORBIDDEN, password_fault
from anyscale.errors import ConfigError

#: The fields of an entry, in the order of the contract.
FIELDS = AdminImportUser.__struct_fields__

#: The fields of an account that only the server sets; `anyscale user list` writes them too.
SERVER_FIELDS = tuple(field for field in User.__struct_fields__ if field not in FIELDS)

#: those that are true or false
FLAGS = frozenset({"is_sso_user", "suspended", "password_initial"})

#: those that no message, page or log shows
SECRETS = frozenset({"password", "password_hash"})

_NAMES = frozenset({"name", "lastname"})

#: those that exports of users have, and comparisons pass over
_EXPORT_FIELDS = ("suspended", "password_initial", "sub")

#: those that `check` takes as one mapping, since few files have them
IMPORTED_FIELDS = ("password_hash", *_EXPORT_FIELDS)

#: those that messages name, which people write
NAMED_FIELDS = tuple(field for field in FIELDS if field not in _EXPORT_FIELDS)

#: what a comparison has for a missing field, whatever its type is
_MISSING: Any = UNSET

#: characters of each text but the email and the password
MAX_TEXT = 256

_Fields = Mapping[str, str | bool | None]
_is_hexadecimal = re.compile("[0-9A-Fa-f]{32,}").fullmatch


class Policy(Struct, frozen=True, kw_only=True):
    """The rules of a control plane for users, and the limits of its requests."""

    #: characters
    password_min_length: int = 8
    #: Whether single sign-on is the only sign-in method.
    sso_only: bool = False
    #: its name, which is not a password; empty if it has none
    organization: str = ""
    #: users in a chunk
    chunk_users: int = 10_000
    #: passwords in a chunk: a few seconds of hashing
    chunk_passwords: int = 128
    #: A batch of at most this many users and passwords is one call.
    small_users: int = 1_000
    small_passwords: int = 16
    #: seconds to wait for the emails that another open batch has reserved
    reservation_wait: float = 60.0
    #: of the hashes of passwords that can be imported: those that this machine verifies
    hash_schemes: tuple[str, ...] = SCHEMES
    #: Whether the caller accepts weak hashes, which are wrapped in Argon2id. Set only by the
    #: caller, never by a control plane.
    accept_weak_hashes: bool = False
    #: fields that a comparison accepts with damaged letters, since the account may have them so
    damaged_fields: tuple[str, ...] = ()


class Fault(NamedTuple):
    """One thing that is wrong with a field."""

    field: str
    code: str
    detail: str


class ChunkUser(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A user of a chunk to be reserved; the password itself is sent later, to be hashed.

    So is a weak hash, to be wrapped.

    Defaults are not sent: it takes less time to compress and to decode what is left.
    """

    name: str
    email: str
    has_password: bool = False
    is_sso_user: bool = False
    lastname: str | None = None
    title: str | None = None
    external_id: str | None = None
    #: made elsewhere, and not weak
    password_hash: str | None = None
    suspended: bool = False
    password_initial: bool = False
    sub: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.email!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("email", self.email)]


class CheckedUser(ChunkUser, frozen=True, gc=False, kw_only=True, array_like=True):
    """A valid user without the password, which is sent apart, with the position of the user.

    `array_like` is for the digest of a chunk, which is that of the values without hashes.
    """

    #: the form of the email that is unique
    email_key: str


def check(
    policy: Policy,
    *,
    name: str,
    email: str,
    password: str | None,
    is_sso_user: bool,
    lastname: str | None,
    title: str | None,
    external_id: str | None = None,
    imported: Mapping[str, Any] | None = None,
) -> CheckedUser | None:
    """Check one user. Return None if something is wrong; `find_faults` lists it.

    This is the hot path, so it begins with cheap checks that nearly every entry passes. `imported`
    has the `IMPORTED_FIELDS`: four more parameters take a tenth of the time.
    """
    text = f"{name}{email}{lastname}{title}"
    if not (
        text.isprintable()
        and (text.isascii() or not may_be_damaged(text))
        and len(text) <= MAX_TEXT
        and name  # a comparison has UNSET for a missing name, which is false and no fault
        and not name.isspace()
        and not password
        and not policy.sso_only
        # Not a part of the text above: few files have one, and to format None takes a third as long
        # as all the others.
        and (external_id is None or external_id is _MISSING or _is_plain(external_id))
        and (not imported or _is_usual(policy, **imported))
    ):
        fields = {
            "name": name,
            "email": email,
            "password": password,
            "is_sso_user": is_sso_user,
            "lastname": lastname,
            "title": title,
            "external_id": external_id,
            **(imported or {}),
        }
        if find_faults(fields, policy):
            return None
    try:
        key = email_key(email)
    except ValueError:
        return None
    user = CheckedUser(
        name=name,
        email=email,
        has_password=bool(password),
        is_sso_user=is_sso_user,
        lastname=lastname,
        title=title,
        external_id=external_id and normalized_external_id(external_id),
        email_key=key,
    )
    return _with_imported(user, **imported) if imported else user


def _with_imported(
    user: CheckedUser, password_hash: str | None = None, **others: Any
) -> CheckedUser:
    has_password = user.has_password or bool(password_hash)
    password_hash = password_hash or None
    return structs.replace(user, has_password=has_password, password_hash=password_hash, **others)


def _is_usual(
    policy: Policy, password_hash: str | None = None, sub: str | None = None, **_: bool
) -> bool:
    """Whether imported fields need no closer look."""
    has_usual_hash = not password_hash or can_be_imported(
        password_hash, policy.hash_schemes, accept_weak=policy.accept_weak_hashes
    )
    return bool(has_usual_hash and (sub is None or _is_sub(sub)))


#: what OpenID Connect allows (Core, 2), without what names of LDAP entries would have to escape
_is_sub = re.compile(r"[A-Za-z0-9._~:|@-]{1,255}").fullmatch

_NO_SUB = "must be up to 255 letters, digits and . _ ~ : | @ -"


def _is_plain(external_id: str) -> bool:
    return len(external_id) <= MAX_TEXT and is_plain_external_id(external_id)


def check_fields(
    policy: Policy,
    user: AdminCreateUser,
    password: str | None,
    password_hash: str | None = None,
    no_external_id: Any = None,
) -> CheckedUser | None:
    """Check the fields of a user as `check` does, with a password or its hash.

    `no_external_id` stands for the external id of an `AdminCreateUser`, which has no such field.
    """
    return check(
        policy,
        name=user.name,
        email=user.email,
        password=password,
        is_sso_user=user.is_sso_user,
        lastname=user.lastname,
        title=user.title,
        external_id=getattr(user, "external_id", no_external_id),
        imported={"password_hash": password_hash}
        | {field: getattr(user, field) for field in _EXPORT_FIELDS if hasattr(user, field)},
    )


def find_faults(fields: _Fields, policy: Policy, *, verify: bool = False) -> list[Fault]:
    """List everything that is wrong with fields of the right types, in their order.

    With `verify` the password and its hash are only used to find out whether the email is one by
    mistake.
    """
    faults = []
    for field, value in fields.items():
        if isinstance(value, str):
            faults += _text_faults(field, value, fields, policy)
    if not verify:
        faults += _password_faults(fields, policy)
        faults += _hash_faults(fields, policy)
    if policy.sso_only and fields.get("is_sso_user") is False:
        detail = "must be true: everybody here signs in by SSO"
        faults.append(Fault("is_sso_user", "sso_only", detail))
    return faults


def require_valid(fields: _Fields, policy: Policy) -> None:
    """Raise a `ConfigError` that lists everything that is wrong with fields of the right types."""
    if faults := find_faults(fields, policy):
        raise ConfigError("; ".join(f"{fault.field}: {fault.detail}" for fault in faults))


def require_changes(changes: UserChanges, policy: Policy) -> None:
    """Raise a `ConfigError` if a new value is wrong, or if there is none."""
    fields = changes.to_dict()
    if not fields:
        names = ", ".join(UserChanges.__struct_fields__)
        raise ConfigError(f"there is nothing to change: give at least one of {names}")
    require_valid(fields, policy)


def normalized_changes(changes: UserChanges) -> UserChanges:
    """Return valid changes as they are stored and compared."""
    if not changes.external_id:
        return changes
    return structs.replace(changes, external_id=normalized_external_id(changes.external_id))


def _text_faults(field: str, text: str, fields: _Fields, policy: Policy) -> list[Fault]:
    if field in SECRETS:
        return []
    if field == "sub":
        return [] if _is_sub(text) else [Fault(field, "sub_invalid", _NO_SUB)]
    if fault := _character_fault(field, text, policy):
        return [fault]
    if field == "email":
        return _email_faults(text, fields)
    if blank := _blank_fault(field, text):
        return [Fault(field, "blank", blank)]
    too_long = f"has {len(text)} characters; {MAX_TEXT} are allowed"
    return [Fault(field, "too_long", too_long)] if len(text) > MAX_TEXT else []


def _blank_fault(field: str, text: str) -> str:
    if field == "external_id":
        return blank_fault(text)
    return "is blank: every user has a name" if field == "name" and not text.strip() else ""


def _character_fault(field: str, text: str, policy: Policy) -> Fault | None:
    if field not in policy.damaged_fields and (damage := damage_of(text, is_name=field in _NAMES)):
        return Fault(field, "damaged", damage)
    match = FORBIDDEN.search(text)
    if field == "external_id":  # two that look the same would be two people
        match = match or INVISIBLE.search(text)
    return Fault(field, "character", character_detail(match)) if match else None


def _email_faults(email: str, fields: _Fields) -> list[Fault]:
    octets = len(email.encode())
    if octets > MAX_OCTETS:
        detail = f"has {octets} octets; an email address has at most {MAX_OCTETS}"
        return [Fault("email", "too_long", detail)]
    try:
        email_key(email)
    except ValueError as error:
        if any(field != "email" and _is_email(value) for field, value in fields.items()):
            detail = "is not an email address, and another field is one: are the two swapped?"
            return [Fault("email", "email_invalid", detail)]  # it may be the password
        reason = f": {error}" if str(error) else ""
        text = "what may be a hash" if _may_be_hash(email) else shown(email)
        return [Fault("email", "email_invalid", f"{text} is not an email address{reason}")]
    return []


def _may_be_hash(text: str) -> bool:
    """Whether a text has the form of a hash of a password, which is not shown."""
    return "$" in text or text.strip().startswith("{") or bool(_is_hexadecimal(text.strip()))


def _is_email(value: str | bool | None) -> bool:
    if not isinstance(value, str) or "@" not in value:
        return False
    try:
        return bool(email_key(value))
    except ValueError:
        return False


def _password_faults(fields: _Fields, policy: Policy) -> list[Fault]:
    password = fields.get("password")
    if not isinstance(password, str) or not password:
        return []
    if policy.sso_only:
        return [Fault("password", "sso_only", "must be empty: everybody here signs in by SSO")]
    values = map(fields.get, ("name", "lastname", "email"))
    name, lastname, email = (value if isinstance(value, str) else None for value in values)
    fault = password_fault(
        password, (name, lastname, email), policy.password_min_length, policy.organization
    )
    return [Fault("password", *fault)] if fault else []


def _hash_faults(fields: _Fields, policy: Policy) -> list[Fault]:
    text = fields.get("password_hash")
    if not isinstance(text, str) or not text:
        return []
    if policy.sso_only:
        return [Fault("password_hash", "sso_only", "must be empty: everybody here signs in by SSO")]
    if fields.get("password"):
        detail = "is given together with `password`, which it replaces: remove one of them"
        return [Fault("password_hash", "password_hash_invalid", detail)]
    from anyscale.domain.password_hashes.parsed_hash import RefusedHash
    from anyscale.domain.password_hashes.parsing import judge

    try:
        judge(text, policy.hash_schemes, accept_weak=policy.accept_weak_hashes)
    except RefusedHash as refused:
        return [Fault("password_hash", refused.code, refused.detail)]
    return []


def shown(text: str, limit: int = 60) -> str:
    """Return a value for an error message: quoted, short, without terminal controls."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    visible = (c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)
    return f"'{''.join(visible)}'"
