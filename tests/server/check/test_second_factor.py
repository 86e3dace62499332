"""`anyscale server check` on the applications that require a second factor."""

from contextlib import closing
from pathlib import Path

from tests.support.callers import OPERATOR
from tests.support.commands.check_results import check_in_process

from anyscale.domain.models.applications import NewApplication
from anyscale.server.check.run import CheckResult
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings


def test_an_application_that_requires_a_factor_which_nobody_is_asked_for_is_named(
    tmp_path: Path,
) -> None:
    database = tmp_path / "anyscale.db"

    def look(mode: str) -> CheckResult:
        environment = {
            "ANYSCALE_DATABASE_URL": f"sqlite:///{database}",
            "ANYSCALE_SECOND_FACTOR": mode,
        }
        results = check_in_process(environment, "second_factor.applications")
        return results["second_factor.applications"]

    with closing(ControlPlane(Settings(database=database))) as control_plane:
        before = look("off")
        new = NewApplication(
            name="Wiki", redirect_uris=["https://wiki.example"], requires_second_factor=True
        )
        control_plane.applications.create(new, OPERATOR)
        asked, unasked = look("optional"), look("off")

    assert (before.status, asked.status, unasked.status) == ("ok", "ok", "fail")
    assert "Wiki" in unasked.found
