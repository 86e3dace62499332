"""The day of the last sign-in: by any method, written once a day, and by no other use."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from tests.support.callers import session_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    create_link,
    fail_to_sign_in,
    get_account,
    set_by_link,
    sign_in_at_home,
)
from tests.support.users import PASSWORD, find_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.core.login.sessions import lock_for_session
from anyscale.server.core.login.sign_in_gate import SignInGate
from anyscale.server.store.sql.accounts import Accounts

DAY_MS = 24 * 60 * 60 * 1_000
LONG_AGO = date(2026, 1, 31)
#: as a server writes it whose clock is ahead
LONG_AFTER = date(2126, 1, 31)


def sign_in_by_sso(control_plane: ControlPlane) -> object:
    with control_plane.store.write() as tx:
        locked = lock_for_session(tx, get_account(control_plane).user_id, HOME)
        assert locked
        shown = Shown("sso", "", locked.at)
        gate = SignInGate(control_plane.settings.second_factor, LoginRateLimiter())
        return gate.complete_sign_in(tx, locked, shown)


def sign_in_by_link(control_plane: ControlPlane) -> object:
    return set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)


def last_day(control_plane: ControlPlane, email: str = EMAIL) -> date | None:
    (found,) = find_accounts(control_plane, email=email, exact=True)
    return found.last_sign_in_on


def set_last_day(control_plane: ControlPlane, day: date) -> None:
    at = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update users set last_sign_in = ? where email_key = ?", (at, EMAIL))


def today(control_plane: ControlPlane) -> date:
    with control_plane.store.read() as tx:
        return datetime.fromtimestamp(tx.now() // 1_000, UTC).date()


@pytest.mark.parametrize("way", [sign_in_at_home, sign_in_by_sso, sign_in_by_link])
@pytest.mark.parametrize("other_day", [LONG_AGO, LONG_AFTER])
def test_each_way_to_sign_in_sets_the_day_of_only_that_account(
    control_plane: ControlPlane, way: Callable[[ControlPlane], object], other_day: date
) -> None:
    assert last_day(control_plane) is None
    before = today(control_plane)
    way(control_plane)
    day = last_day(control_plane)
    assert day
    assert before <= day <= today(control_plane)
    assert last_day(control_plane, "none@example.com") is None

    set_last_day(control_plane, other_day)
    way(control_plane)
    day = last_day(control_plane)
    assert day
    assert before <= day <= today(control_plane)


@pytest.mark.both_stores
def test_the_account_is_written_once_a_day(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in_at_home(control_plane)
    written, original = list[str](), Accounts.mark_signed_in

    def mark(self: Accounts, user_id: str, at: int, day: int) -> None:
        written.append(user_id)
        original(self, user_id, at, day)

    monkeypatch.setattr(Accounts, "mark_signed_in", mark)
    sign_in_at_home(control_plane)
    assert written == []
    set_last_day(control_plane, LONG_AGO)
    sign_in_at_home(control_plane)
    sign_in_at_home(control_plane)
    assert written == [get_account(control_plane).user_id]


def test_no_other_use_counts_as_a_sign_in(control_plane: ControlPlane) -> None:
    caller = session_caller(control_plane, get_account(control_plane).user_id)
    set_last_day(control_plane, LONG_AGO)
    fail_to_sign_in(control_plane, HOME)
    control_plane.sessions.touch(caller)
    control_plane.password_login.sign_in_again(caller, PASSWORD, HOME)
    assert last_day(control_plane) == LONG_AGO
