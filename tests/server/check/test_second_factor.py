"""`anyscale server check` on second factors: of applications and owners."""

from contextlib import closing
from pathlib import Path

import pytest
from tests.store.contract.factors import app_row
from tests.support.callers import OPERATOR
from tests.support.commands.check_results import check_in_process
from tests.support.users import create_accounts, find_accounts

from anyscale.domain.models.applications import NewApplication
from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings


def look(database: Path | str, subject: str, mode: str) -> CheckResult:
    """Run a check under a policy."""
    check = f"second_factor.{subject}"
    environment = {
        "ANYSCALE_DATABASE_URL": f"sqlite:///{database}",
        "ANYSCALE_SECOND_FACTOR": mode,
    }
    return check_in_process(environment, check)[check]


def test_an_application_that_requires_a_factor_which_nobody_is_asked_for_is_named(
    tmp_path: Path,
) -> None:
    database = tmp_path / "anyscale.db"

    with closing(ControlPlane(Settings(database=database))) as control_plane:
        before = look(database, "applications", "off")
        new = NewApplication(
            name="Wiki", redirect_uris=["https://wiki.example"], requires_second_factor=True
        )
        control_plane.applications.create(OPERATOR, new)
        asked, unasked = (
            look(database, "applications", "optional"),
            look(database, "applications", "off"),
        )

    assert (before.status, asked.status, unasked.status) == ("ok", "ok", "fail")
    assert "Wiki" in unasked.found


@pytest.mark.parametrize(
    ("mode", "status"),
    [("off", "ok"), ("optional", "ok"), ("owners", "warn"), ("everyone", "warn")],
)
def test_owners_without_a_second_factor_are_counted_and_a_policy_makes_it_a_warning(
    control_plane: ControlPlane, mode: str, status: str
) -> None:
    create_accounts(control_plane, "ann", "boss")
    _, boss = (user.user_id for user in find_accounts(control_plane))
    control_plane.lifecycle.set_role(OPERATOR, boss, "owner")
    found = look(control_plane.settings.database, "owners", mode)
    assert (found.status, "1 has no second factor" in found.found) == (status, mode != "off")
    with control_plane.store.write() as tx:
        tx.factors.add(app_row(1, boss))
    assert look(control_plane.settings.database, "owners", mode).status == "ok"
