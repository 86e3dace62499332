"""Who has to have a second factor, and from when on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.sign_ins import get_account, sign_in_at_home
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.second_factor.policy import SecondFactorMode, SecondFactorPolicy
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.settings import Settings
from anyscale.server.store.records.login import SessionRecord

Start = Callable[..., ControlPlane]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a control plane with a policy, and with jane's account."""
    opened: list[ControlPlane] = []

    def start(mode: SecondFactorMode, days: int = 14) -> ControlPlane:
        database, policy = tmp_path / "anyscale.db", SecondFactorPolicy(mode, days)
        control_plane = cheap_control_plane(Settings(database=database, second_factor=policy))
        opened.append(control_plane)
        if len(opened) == 1:
            create_accounts(control_plane, "jane")
        return control_plane

    yield start
    for one in opened:
        one.close()


def session_of(control_plane: ControlPlane) -> SessionRecord:
    """Sign jane in."""
    return control_plane.sessions.authenticate(sign_in_at_home(control_plane).session).session


def make_owner(control_plane: ControlPlane) -> None:
    control_plane.lifecycle.set_role(OPERATOR, get_account(control_plane).user_id, "owner")


def age_duty(control_plane: ControlPlane, days: int) -> None:
    """Let the time of all accounts have begun some days earlier."""
    with control_plane.store.write() as tx:
        sql = "update factor_states set required_since = required_since - ?"
        execute_sql(tx, sql, (days * DAY_MS,))


@pytest.mark.parametrize(
    ("mode", "is_owner", "is_required"),
    [
        ("off", True, False),
        ("optional", True, False),
        ("owners", False, False),
        ("owners", True, True),
        ("everyone", False, True),
    ],
)
def test_the_policy_says_who_has_to_add_one(
    start: Start, mode: SecondFactorMode, is_owner: bool, is_required: bool
) -> None:
    control_plane = start(mode)
    if is_owner:
        make_owner(control_plane)

    assert (session_of(control_plane).factor_due_at is not None) is is_required


def test_the_time_counts_from_the_first_sign_in_under_the_policy(start: Start) -> None:
    before = session_of(start("optional"))
    control_plane = start("everyone")
    first = session_of(control_plane)
    age_duty(control_plane, 3)
    second = session_of(control_plane)

    assert before.factor_due_at is None
    assert first.factor_due_at == first.created_at + 14 * DAY_MS
    assert second.factor_due_at == first.factor_due_at - 3 * DAY_MS


def test_the_time_of_a_new_owner_counts_from_the_role(start: Start) -> None:
    control_plane = start("owners")
    make_owner(control_plane)
    age_duty(control_plane, 13)
    owner = session_of(control_plane)
    user_id = get_account(control_plane).user_id
    with control_plane.store.write() as tx:
        tx.accounts.set_role(user_id, "collaborator")
    assert session_of(control_plane).factor_due_at is None
    make_owner(control_plane)
    again = session_of(control_plane)

    assert owner.factor_due_at
    assert again.factor_due_at
    assert (owner.factor_due_at - owner.created_at) // DAY_MS == 0
    assert round((again.factor_due_at - again.created_at) / DAY_MS) == 14


def test_the_account_page_says_the_day_and_then_leads_to_the_page_that_adds_one(
    start: Start,
) -> None:
    control_plane = start("everyone")
    note = "You need a second factor from"
    with serve_in_process(control_plane) as url:
        browser = HttpClient(url).sign_in_first_time()
        during = browser.request("GET", "/").text
        age_duty(control_plane, 14)
        browser.sign_in("jane", NEW_PASSWORD)
        after = browser.request("GET", "/")
        page = browser.request("GET", "/account/second-factor").text

    assert note in during
    assert (after.status, after.headers["Location"]) == (303, "/account/second-factor")
    assert "Before you continue, add a second factor" in page
    assert note not in page
