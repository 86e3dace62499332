"""Which of the accounts that a file chooses are suspended: the plan, without a control plane."""

from datetime import UTC, datetime

import pytest

from anyscale.comparison.suspension import SuspensionPlan
from anyscale.domain.models.users import User

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("is_named", "unchanged"), [(True, 0), (False, 1)])
def test_a_suspension_by_a_sync_becomes_one_by_hand_only_if_the_file_names_the_account(
    *, is_named: bool, unchanged: int
) -> None:
    account = User(
        user_id="usr_1",
        email="ann@example.com",
        name="Ann",
        permission_level="collaborator",
        created_at=AT,
        suspended_at=AT,
        suspended_by_sync=True,
    )
    plan = SuspensionPlan(suspend=True)
    plan.add(account, is_named=is_named)
    assert (plan.unchanged, plan.to_change) == (unchanged, [] if unchanged else [account])
