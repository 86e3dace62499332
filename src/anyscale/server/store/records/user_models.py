"""Records of users as the models that clients see."""

from anyscale.domain.models.users import AdminCreatedUser, User
from anyscale.domain.times import day_of, from_milliseconds
from anyscale.server.store.records.users import UserRecord


def user_of(record: UserRecord) -> User:
    """Return an account as clients see it.

    It names each field, since a million accounts may be compared with a file: taking them by a list
    of names takes twice as long.
    """
    suspended = record.suspended_at
    return User(
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
        suspended is not None and record.suspended_by_sync,
        day_of(record.last_sign_in),
    )


def created_user_of(record: UserRecord) -> AdminCreatedUser:
    """Return an account as the result of its batch lists it."""
    return AdminCreatedUser(
        record.user_id,
        record.name,
        record.email,
        from_milliseconds(record.created_at),
        record.is_sso_user,
        record.lastname,
        record.title,
    )
