"""Which of the accounts that a file names are suspended: the plan, without a control plane."""

from datetime import UTC, datetime

from anyscale.comparison.suspension_by_list import SuspensionPlan
from anyscale.domain.models.users import User

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_suspension_by_a_sync_becomes_one_by_hand_if_a_file_names_the_account() -> None:
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
    plan.add(account)
    assert (plan.unchanged, plan.to_change) == (0, [account])
