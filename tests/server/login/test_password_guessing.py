"""Limits of wrong passwords, by account, address and device."""

import pytest
from msgspec import structs
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    change_password,
    create_link,
    fail_to_sign_in,
    let_time_pass,
    set_by_link,
    sign_in,
    sign_in_at_home,
    sign_in_at_once,
)
from tests.support.users import PASSWORD

from anyscale.errors import (
    InvalidCredentials,
    TooManyFailedLogins,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.session_lifetime import DEVICE_LIMIT

_DAY = 24 * 60 * 60 * 1000


def test_the_limits_are_checked_before_the_hash_and_spare_known_browsers(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, device = control_plane.password_login, sign_in_at_home(control_plane).device
    login.prepare(EMAIL, PASSWORD, HOME)
    assert [fail_to_sign_in(control_plane, HOME) for _ in range(10)] == [InvalidCredentials] * 10
    with pytest.raises(TooManyFailedLogins):
        login.prepare(EMAIL, PASSWORD, HOME)
    login.prepare(EMAIL, PASSWORD, structs.replace(HOME, device=device))


def test_the_limits_are_checked_again_after_waiting(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = control_plane.password_login
    attempt = login.prepare(EMAIL, PASSWORD, HOME)
    assert [fail_to_sign_in(control_plane, HOME) for _ in range(10)] == [InvalidCredentials] * 10
    monkeypatch.setattr(control_plane.password_changes._hashing, "verify", None)
    with pytest.raises(TooManyFailedLogins):
        login.login(attempt)


def test_concurrent_guesses_are_no_extra_guesses(control_plane: ControlPlane) -> None:
    assert [fail_to_sign_in(control_plane, HOME) for _ in range(9)] == [InvalidCredentials] * 9
    guesses = [(EMAIL, f"wrong {number}", HOME) for number in range(4)]
    messages = [message[:8] for message in sign_in_at_once(control_plane, *guesses)]
    assert sorted(messages) == ["email or", "too many", "too many", "too many"]


def test_the_right_password_is_refused_if_the_limit_was_reached_meanwhile(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = control_plane.password_changes._hashing.verify

    def meanwhile(password_hash: str | None, password: str) -> bool:
        monkeypatch.undo()
        assert [fail_to_sign_in(control_plane, HOME) for _ in range(10)] == [
            InvalidCredentials
        ] * 10
        return verify(password_hash, password)

    monkeypatch.setattr(control_plane.password_changes._hashing, "verify", meanwhile)
    with pytest.raises(TooManyFailedLogins):
        sign_in_at_home(control_plane)


def test_guessing_at_an_account_stops_the_address_and_not_the_user_elsewhere(
    control_plane: ControlPlane,
) -> None:
    stranger = ClientInfo("203.0.113.7", "curl")
    answers = [fail_to_sign_in(control_plane, stranger) for _ in range(20)]
    assert answers == [InvalidCredentials] * 10 + [TooManyFailedLogins] * 10
    with pytest.raises(TooManyFailedLogins) as throttled:
        sign_in(control_plane, EMAIL, PASSWORD, stranger)  # even with the right one
    assert 60 < throttled.value.retry_after_seconds <= 600
    sign_in_at_home(control_plane)


def test_guessing_from_everywhere_does_not_stop_a_known_browser(
    control_plane: ControlPlane,
) -> None:
    device = sign_in_at_home(control_plane).device
    answers = [
        fail_to_sign_in(control_plane, ClientInfo(f"203.0.113.{n % 250}", "curl"))
        for n in range(200)
    ]
    assert answers.count(InvalidCredentials) == 100
    with pytest.raises(TooManyFailedLogins):
        sign_in(control_plane, EMAIL, PASSWORD, ClientInfo("198.51.100.1", "a new one"))
    # From a new address as well, and from one of those that guess.
    for address in ("192.0.2.1", "198.51.100.2", "203.0.113.7"):
        sign_in(control_plane, EMAIL, PASSWORD, ClientInfo(address, "Firefox", device))


def test_a_link_signs_in_to_an_account_that_is_guessed_at(
    control_plane: ControlPlane,
) -> None:
    for number in range(110):
        fail_to_sign_in(control_plane, ClientInfo(f"203.0.113.{number}", "curl"))
    device = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME).device
    sign_in(control_plane, EMAIL, CHOSEN, structs.replace(HOME, device=device))


def test_a_device_is_known_only_to_its_account_and_for_a_limited_time(
    control_plane: ControlPlane,
) -> None:
    device = set_by_link(
        control_plane, create_link(control_plane, "none@example.com"), CHOSEN, HOME
    ).device
    mine = sign_in_at_home(control_plane).device
    for number in range(110):
        fail_to_sign_in(control_plane, ClientInfo(f"203.0.113.{number}", "curl"))
    with pytest.raises(TooManyFailedLogins):
        sign_in(control_plane, EMAIL, PASSWORD, structs.replace(HOME, device=device))
    let_time_pass(control_plane, DEVICE_LIMIT + 1_000)
    with pytest.raises(TooManyFailedLogins):
        sign_in(control_plane, EMAIL, PASSWORD, structs.replace(HOME, device=mine))


def test_two_users_may_share_a_browser(control_plane: ControlPlane) -> None:
    device = sign_in_at_home(control_plane).device
    shared = structs.replace(HOME, device=device)
    assert (
        set_by_link(
            control_plane, create_link(control_plane, "none@example.com"), CHOSEN, shared
        ).device
        == device
    )
    for number in range(110):
        for email in (EMAIL, "none@example.com"):
            fail_to_sign_in(control_plane, ClientInfo(f"2001:db8:0:{number:x}::1", "curl"), email)
    sign_in(control_plane, EMAIL, PASSWORD, shared)
    sign_in(control_plane, "none@example.com", CHOSEN, shared)


def test_guessing_at_many_accounts_stops_the_address(control_plane: ControlPlane) -> None:
    spraying = [
        fail_to_sign_in(control_plane, HOME, f"user{number}@example.com") for number in range(110)
    ]
    assert spraying == [InvalidCredentials] * 100 + [TooManyFailedLogins] * 10
    sign_in(control_plane, EMAIL, PASSWORD, ClientInfo("192.0.2.2", "next door"))


def test_an_ipv6_network_counts_as_one_address(control_plane: ControlPlane) -> None:
    answers = [
        fail_to_sign_in(control_plane, ClientInfo(f"2001:db8:1:2::{n:x}", "curl"))
        for n in range(12)
    ]
    assert answers == [InvalidCredentials] * 10 + [TooManyFailedLogins] * 2
    assert (
        fail_to_sign_in(control_plane, ClientInfo("2001:db8:1:3::1", "curl")) is InvalidCredentials
    )


def test_a_device_that_this_control_plane_did_not_make_is_replaced(
    control_plane: ControlPlane,
) -> None:
    for planted in ("KNOWN", "", "x" * 43):
        home = structs.replace(HOME, device=planted)
        device = sign_in(control_plane, EMAIL, PASSWORD, home).device
        assert device != planted
        assert len(device) == 43
        again = structs.replace(HOME, device=device)
        assert sign_in(control_plane, EMAIL, PASSWORD, again).device == device
        login = control_plane.password_login
        assert not login.prepare(EMAIL, PASSWORD, home).known_device


def test_a_known_device_has_the_same_number_of_guesses(control_plane: ControlPlane) -> None:
    known = structs.replace(HOME, device=sign_in_at_home(control_plane).device)
    assert [fail_to_sign_in(control_plane, known) for _ in range(12)] == [
        InvalidCredentials
    ] * 10 + [TooManyFailedLogins] * 2


def test_wrong_current_passwords_are_limited(control_plane: ControlPlane) -> None:
    """Otherwise a stolen session could guess the password that it does not know."""
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    change = control_plane.password_changes.change_password
    for _ in range(10):
        with pytest.raises(InvalidCredentials):
            change(user, "wrong password", CHOSEN, HOME)
    for current in ("wrong password", PASSWORD):
        with pytest.raises(TooManyFailedLogins):
            change(user, current, CHOSEN, HOME)
    # The limit is of the session, so that its user may sign in and end it.
    sign_in_at_home(control_plane)


def test_the_right_current_password_is_refused_if_the_limit_was_reached_meanwhile(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    hashing, login = control_plane.password_changes._hashing, control_plane.password_login
    verify = hashing.verify

    def meanwhile(password_hash: str | None, password: str) -> bool:
        monkeypatch.undo()
        for _ in range(10):
            with pytest.raises(InvalidCredentials):
                login.verify_current(user, "wrong password", HOME)
        return verify(password_hash, password)

    monkeypatch.setattr(hashing, "verify", meanwhile)
    with pytest.raises(TooManyFailedLogins):
        control_plane.password_changes.change_password(user, PASSWORD, CHOSEN, HOME)


def test_a_known_device_is_counted_at_all_addresses_together(
    control_plane: ControlPlane,
) -> None:
    device = sign_in_at_home(control_plane).device
    answers = [
        fail_to_sign_in(control_plane, ClientInfo(f"203.0.113.{n}", "curl", device))
        for n in range(15)
    ]
    assert answers == [InvalidCredentials] * 10 + [TooManyFailedLogins] * 5


def test_a_changed_password_makes_all_other_devices_unknown(control_plane: ControlPlane) -> None:
    old = sign_in_at_home(control_plane).device
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    here = change_password(control_plane, user, PASSWORD, CHOSEN, HOME).device
    for number in range(110):
        fail_to_sign_in(control_plane, ClientInfo(f"203.0.113.{number}", "curl"))
    with pytest.raises(TooManyFailedLogins):
        sign_in(control_plane, EMAIL, CHOSEN, structs.replace(HOME, device=old))
    sign_in(control_plane, EMAIL, CHOSEN, structs.replace(HOME, device=here))


def test_ipv4_addresses_in_the_form_of_ipv6_are_counted_by_themselves(
    control_plane: ControlPlane,
) -> None:
    for _ in range(12):
        fail_to_sign_in(control_plane, ClientInfo("::ffff:203.0.113.7", "curl"))
    assert (
        fail_to_sign_in(control_plane, ClientInfo("::ffff:203.0.113.8", "curl"))
        is InvalidCredentials
    )
    assert fail_to_sign_in(control_plane, ClientInfo("203.0.113.7", "curl")) is TooManyFailedLogins


def test_right_passwords_are_not_counted(control_plane: ControlPlane) -> None:
    for _ in range(30):
        sign_in_at_home(control_plane)
