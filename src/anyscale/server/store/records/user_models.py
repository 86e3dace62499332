"""Records of users as the models that clients see."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, TypeVar

from anyscale.domain.models.users import AdminCreatedUser, User
from anyscale.domain.schemas.users import FoundUser
from anyscale.domain.times import from_milliseconds
from anyscale.server.store.records.users import UserRecord

__all__ = ["created_user_of", "found_user_of", "user_of"]

Shown = TypeVar("Shown", User, AdminCreatedUser)


def _converter(kind: type[Shown]) -> Callable[[UserRecord], Shown]:
    """Return a function that makes a model of a record, which has all of its fields."""
    names = kind.__struct_fields__
    values = attrgetter(*names)
    times = [at for at, name in enumerate(names) if name.endswith("_at")]

    def convert(record: UserRecord) -> Shown:
        fields = list(values(record))
        for at in times:
            if fields[at] is not None:
                fields[at] = from_milliseconds(fields[at])
        return kind(*fields)

    return convert


#: returns an account as clients see it
user_of: Final = _converter(User)

#: returns an account as the result of its batch lists it
created_user_of: Final = _converter(AdminCreatedUser)


def found_user_of(record: UserRecord) -> FoundUser:
    """Return an account as a look-up of emails lists it: `user_of` in half of the time.

    A million accounts may be compared with a file.
    """
    suspended = record.suspended_at
    return FoundUser(
        record.email,
        record.name,
        from_milliseconds(record.created_at),
        record.permission_level,
        record.user_id,
        None if suspended is None else from_milliseconds(suspended),
        record.lastname,
        record.title,
        record.is_sso_user,
        record.external_id,
        record.suspended_by_sync,
    )
