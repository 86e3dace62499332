"""A chunk is compared with the reserved one: the first user that differs is named."""

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.users import checked_users

from anyscale.domain.models.batches import Batch
from anyscale.domain.validation import CheckedUser
from anyscale.server.control_plane import ControlPlane

pytestmark = pytest.mark.both_stores


@pytest.fixture
def users() -> list[CheckedUser]:
    return [structs.replace(user, has_password=True) for user in checked_users("a", "b", "c")]


@pytest.fixture
def batch(control_plane: ControlPlane, users: list[CheckedUser]) -> Batch:
    batches = control_plane.batches
    batches.create(OPERATOR, "before", checked_users("b"), "fail")
    batch = batches.open(OPERATOR, "key", "skip")
    batches.reserve(OPERATOR, batch.batch_id, 0, users)
    return batch


def test_the_same_users_have_no_difference(
    control_plane: ControlPlane, batch: Batch, users: list[CheckedUser]
) -> None:
    assert control_plane.batches.difference(batch.batch_id, 0, users) is None
    assert control_plane.batches.difference(batch.batch_id, 1, users) is None  # not reserved yet


@pytest.mark.parametrize(
    ("position", "changes", "field"),
    [
        (0, {"name": "Zoe"}, "name"),
        (1, {"email": "zoe@example.com"}, "email"),
        (1, {"name": "Zoe"}, "skipped"),
        (2, {"has_password": False}, "has_password"),
        (2, {"is_sso_user": True}, "is_sso_user"),
        (2, {"title": "Engineer"}, "title"),
    ],
)
def test_the_first_different_user_is_found(
    control_plane: ControlPlane,
    batch: Batch,
    users: list[CheckedUser],
    position: int,
    changes: dict[str, object],
    field: str,
) -> None:
    users[position] = structs.replace(users[position], **changes)
    found = control_plane.batches.difference(batch.batch_id, 0, users)
    assert found
    assert found.field == field
    assert found.position == (0 if field == "skipped" else position)


def test_a_missing_and_a_new_user_are_differences(
    control_plane: ControlPlane, batch: Batch, users: list[CheckedUser]
) -> None:
    missing = control_plane.batches.difference(batch.batch_id, 0, users[:2])
    assert missing
    assert (missing.position, missing.given, missing.reserved) == (2, None, users[2].email)
    more = control_plane.batches.difference(batch.batch_id, 0, [*users, *checked_users("d")])
    assert more
    assert (more.position, more.reserved) == (3, None)
