"""Signing in by a passkey alone, as the second step, and again; and the attacks on it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from tests.support.callers import OPERATOR
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator import (
    BACKED_UP,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    SoftAuthenticator,
)
from tests.support.second_factor.passkeys import add_passkey, ceremonies_of, login_of, options_of
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    completed,
    count_sessions,
    create_link,
    get_account,
    suspend,
)
from tests.support.users import PASSWORD, checked_user

from anyscale.domain.validation import Policy
from anyscale.errors import (
    AnyscaleError,
    HalfSignInExpired,
    InvalidCredentials,
    NotAuthenticated,
    PasskeyRefused,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown, add_half_sign_in
from anyscale.server.core.login.sessions import LoginResult
from anyscale.server.core.passkeys.challenges import Purpose
from anyscale.server.store.records.login import HalfSignInRecord

#: with a passkey, as EMAIL has
OTHER = "other@example.com"
#: without a password
SSO_USER = "none@example.com"

SYNCED = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane with three accounts, one of them without a password."""
    control_plane, _ = filled_control_plane(store_deployment.settings(), _create_accounts)
    with closing(control_plane):
        yield control_plane


def _create_accounts(control_plane: ControlPlane) -> None:
    users = [checked_user(email, PASSWORD) for email in (EMAIL, OTHER)]
    users.append(checked_user(SSO_USER))
    passwords = [(0, PASSWORD), (1, PASSWORD)]
    control_plane.batches.create(OPERATOR, "key", users, "fail", passwords)


def answer_of(
    control_plane: ControlPlane, device: SoftAuthenticator, browser: str = "mine", **changed: Any
) -> str:
    """Sign the challenge of the sign-in page of a browser."""
    return device.get(ceremonies_of(control_plane).sign_in_options(browser), **changed)


def log_in(
    control_plane: ControlPlane, answer: str, browser: str = "mine"
) -> LoginResult | HalfSignIn:
    """Send an answer, as the form of the sign-in page does."""
    login = login_of(control_plane)
    return login.login(login.verify(answer, browser), HOME)


def sign_in(control_plane: ControlPlane, device: SoftAuthenticator, **changed: Any) -> LoginResult:
    answer = answer_of(control_plane, device, **changed)
    return completed(log_in(control_plane, answer))


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(PasskeyRefused) as refused:
        call()
    return refused.value.reason


def caller_of(control_plane: ControlPlane, result: LoginResult) -> SessionCaller:
    return control_plane.sessions.authenticate(result.session)


def test_a_passkey_signs_in_by_itself_and_is_two_factors(control_plane: ControlPlane) -> None:
    for flags, method in ((PRESENT | VERIFIED, "hwk"), (SYNCED, "swk")):
        device = add_passkey(control_plane, flags=flags)
        session = caller_of(control_plane, sign_in(control_plane, device)).session

        assert session.methods == f"{method} mfa"
        assert session.auth_method == "passkey"
        assert session.authenticated_at is not None


def test_a_passkey_lets_an_account_use_codes_again(control_plane: ControlPlane) -> None:
    device, user_id = add_passkey(control_plane), get_account(control_plane).user_id
    with control_plane.store.write() as tx:
        sql = "insert into factor_states (user_id, failures, window_at, window_failures)"
        execute_sql(tx, f"{sql} values (?, 100, 0, 10)", (user_id,))

    sign_in(control_plane, device)

    with control_plane.store.read() as tx:
        assert tx.factor_states.get(user_id).failures == 0


@pytest.mark.both_stores
def test_an_answer_that_is_sent_400_times_at_once_makes_one_session(
    store_deployment: Deployment, control_plane: ControlPlane
) -> None:
    device = add_passkey(control_plane, flags=SYNCED, has_counter=False)
    answer = answer_of(control_plane, device)
    with closing(store_deployment.control_plane()) as other, ThreadPoolExecutor(16) as threads:
        servers = [control_plane, other]

        def send(number: int) -> str:
            try:
                return type(log_in(servers[number % 2], answer)).__name__
            except PasskeyRefused as error:
                return error.reason

        results = list(threads.map(send, range(400)))

    assert sorted(set(results)) == ["LoginResult", "used"]
    assert results.count("LoginResult") == 1
    assert count_sessions(control_plane, EMAIL) == 1


def test_an_answer_without_a_valid_signature_stores_nothing(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    options = ceremonies_of(control_plane).sign_in_options("mine")
    forged, right = device.get(options, signature=b"forged"), device.get(options)

    assert reason_of(lambda: log_in(control_plane, forged)) == "signature"
    with control_plane.store.read() as tx:
        assert execute_sql(tx, "select * from used_challenges").fetchall() == []
    assert completed(log_in(control_plane, right)).session


def test_a_used_challenge_is_forgotten_after_it_has_expired(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    sign_in(control_plane, device)
    with control_plane.store.write() as tx:
        assert tx.used_challenges.add(b"expired", tx.now())

    control_plane.clean_up()

    with control_plane.store.read() as tx:
        assert not tx.used_challenges.has(b"expired")
        assert len(execute_sql(tx, "select * from used_challenges").fetchall()) == 1


def test_a_refused_sign_in_uses_up_no_challenge(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    answer = answer_of(control_plane, device)
    suspend(control_plane)
    with pytest.raises(InvalidCredentials, match="suspended"):
        log_in(control_plane, answer)
    with control_plane.store.write() as tx:
        tx.accounts.set_suspended(get_account(control_plane).user_id, None)

    assert completed(log_in(control_plane, answer)).session


def test_a_copy_of_a_passkey_is_refused_and_the_first_one_goes_on(
    control_plane: ControlPlane,
) -> None:
    device = add_passkey(control_plane)
    for _ in range(3):
        sign_in(control_plane, device)
    copied = answer_of(control_plane, device, counter=3)

    assert reason_of(lambda: log_in(control_plane, copied)) == "copied"
    assert sign_in(control_plane, device).session


def test_two_answers_with_one_counter_at_once_make_one_session(
    control_plane: ControlPlane,
) -> None:
    device = add_passkey(control_plane)
    ceremonies = ceremonies_of(control_plane)
    answers = [answer_of(control_plane, device, counter=9) for _ in range(2)]
    first, second = (ceremonies.verify(one, Purpose.SIGN_IN, "mine") for one in answers)
    with control_plane.store.write() as tx:
        assert ceremonies.use(tx, first, tx.now()) == "hwk mfa"

    def use_second() -> None:
        with control_plane.store.write() as tx:
            ceremonies.use(tx, second, tx.now())

    assert reason_of(use_second) == "changed"


def account_is_deleted(control_plane: ControlPlane) -> None:
    with control_plane.store.write() as tx:
        tx.accounts.delete(get_account(control_plane).user_id)


def passkey_is_removed(control_plane: ControlPlane) -> None:
    with control_plane.store.write() as tx:
        tx.factors.delete_all(get_account(control_plane).user_id)


@pytest.mark.parametrize("end", [account_is_deleted, passkey_is_removed])
def test_a_passkey_that_ends_after_the_page_was_opened_is_unknown(
    control_plane: ControlPlane, end: Callable[[ControlPlane], None]
) -> None:
    device = add_passkey(control_plane)
    answer = answer_of(control_plane, device)
    end(control_plane)

    assert reason_of(lambda: log_in(control_plane, answer)) == "unknown"


def test_a_passkey_that_is_removed_while_it_is_verified_is_refused(
    control_plane: ControlPlane,
) -> None:
    device = add_passkey(control_plane)
    ceremonies = ceremonies_of(control_plane)
    shown = ceremonies.verify(answer_of(control_plane, device), Purpose.SIGN_IN, "mine")
    passkey_is_removed(control_plane)

    def use() -> None:
        with control_plane.store.write() as tx:
            ceremonies.use(tx, shown, tx.now())

    assert reason_of(use) == "changed"


def test_an_account_without_a_password_signs_in_by_sso_first(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane, SSO_USER)
    assert reason_of(lambda: sign_in(control_plane, device)) == "sso_first"


def test_after_sso_a_passkey_is_the_second_step(control_plane: ControlPlane) -> None:
    device, account = add_passkey(control_plane, SSO_USER), get_account(control_plane, SSO_USER)
    login = control_plane.second_factor_login
    with control_plane.store.write() as tx:
        cookie = add_half_sign_in(tx, account.user_id, Shown("sso", "", 5)).secret
    half = login.pending(cookie).half
    answer = device.get(options_of(control_plane, Purpose.SECOND_STEP, cookie, SSO_USER))

    result = completed(login.by_passkey(half, answer, cookie, HOME))
    user = caller_of(control_plane, result)

    assert (user.session.auth_method, user.session.methods) == ("sso", "hwk mfa")
    # Signing in again goes to the identity provider, too.
    assert login_of(control_plane).options_again(user, result.session) is None


def test_where_sso_is_the_only_way_a_passkey_is_never_the_first_step(
    store_deployment: Deployment, control_plane: ControlPlane
) -> None:
    device = add_passkey(control_plane)
    with closing(store_deployment.control_plane(Policy(sso_only=True))) as sso_only:
        assert not login_of(sso_only).is_offered
        assert reason_of(lambda: sign_in(sso_only, device)) == "sso_first"


#: How an answer for the sign-in page is wrong although it is well formed; the reason.
ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "a phishing site": ({"origin": "https://accounts.example.com.evil.example"}, "origin"),
    "a sub-domain that was taken over": ({"origin": "https://old.accounts.example.com"}, "origin"),
    "another port of the host": ({"origin": "https://accounts.example.com:8443"}, "origin"),
    "no TLS": ({"origin": "http://accounts.example.com"}, "origin"),
    "a frame of another site": ({"cross_origin": True}, "cross_origin"),
    "a passkey of another RP ID": ({"rp_id": "evil.example"}, "rp_id"),
    "a device that verified nobody": ({"flags": PRESENT}, "unverified"),
    "malware without the user": ({"flags": VERIFIED}, "presence"),
    "a counter of before": ({"counter": 1}, "copied"),
    "a counter that is gone": ({"counter": 0}, "copied"),
    "a registration": ({"type": "webauthn.create"}, "type"),
    "the handle of another account": ({"user_handle": b"usr_other"}, "account"),
    "no handle": ({"user_handle": b""}, "account"),
    "an unknown credential": ({"credential_id": b"unknown"}, "unknown"),
    "an empty credential": ({"credential_id": b""}, "unknown"),
    "no signature": ({"signature": b""}, "signature"),
    "a challenge of nobody": ({"challenge": "A" * 98}, "challenge"),
    "no challenge": ({"challenge": ""}, "challenge"),
    "another kind of passkey": ({"flags": SYNCED}, "backup"),
}


@pytest.mark.parametrize(("changed", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_on_the_sign_in_page_is_refused(
    control_plane: ControlPlane, changed: dict[str, Any], reason: str
) -> None:
    device = add_passkey(control_plane)
    assert reason_of(lambda: sign_in(control_plane, device, **changed)) == reason
    assert count_sessions(control_plane, EMAIL) == 0


def refusal_of(
    control_plane: ControlPlane, device: SoftAuthenticator, browser: str = "mine", **changed: Any
) -> str:
    """Try to sign in with an answer for a page of my browser."""
    answer = answer_of(control_plane, device, **changed)
    return reason_of(lambda: log_in(control_plane, answer, browser))


@pytest.mark.parametrize("purpose", set(Purpose) - {Purpose.SIGN_IN})
def test_a_challenge_of_another_purpose_does_not_sign_in(
    control_plane: ControlPlane, purpose: Purpose
) -> None:
    device = add_passkey(control_plane)
    challenge = options_of(control_plane, purpose, "mine")["challenge"]
    assert refusal_of(control_plane, device, challenge=challenge) == "purpose"


@pytest.mark.parametrize("browser", ["hers", ""])
def test_an_answer_from_another_browser_does_not_sign_in(
    control_plane: ControlPlane, browser: str
) -> None:
    assert refusal_of(control_plane, add_passkey(control_plane), browser) == "browser"


def test_a_challenge_of_the_sign_in_page_adds_no_passkey(control_plane: ControlPlane) -> None:
    ceremonies, device = ceremonies_of(control_plane), add_passkey(control_plane)
    options = ceremonies.registration_options(get_account(control_plane), "mine")
    challenge = ceremonies.sign_in_options("mine")["challenge"]
    answer = device.create(options, challenge=challenge)
    assert reason_of(lambda: ceremonies.verify_new(answer, "mine")) == "purpose"


def half_of(control_plane: ControlPlane, email: str = EMAIL) -> tuple[HalfSignInRecord, str]:
    """Show the password; return half a sign-in and its cookie."""
    login = control_plane.password_login
    half = login.login(login.prepare(email, PASSWORD, HOME))
    assert isinstance(half, HalfSignIn)
    return control_plane.second_factor_login.pending(half.secret).half, half.secret


def complete(
    control_plane: ControlPlane, device: SoftAuthenticator, email: str = EMAIL, **changed: Any
) -> LoginResult:
    half, cookie = half_of(control_plane, email)
    answer = device.get(options_of(control_plane, Purpose.SECOND_STEP, cookie, email), **changed)
    return completed(control_plane.second_factor_login.by_passkey(half, answer, cookie, HOME))


def test_a_passkey_completes_half_a_sign_in(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    half, cookie = half_of(control_plane)
    options = control_plane.second_factor_login.pending(cookie).passkey_options
    assert options
    answer = device.get(options, user_handle=b"")

    result = completed(control_plane.second_factor_login.by_passkey(half, answer, cookie, HOME))

    session = caller_of(control_plane, result).session
    assert session.methods == "pwd hwk mfa"
    assert session.auth_method == "password"
    again = control_plane.second_factor_login
    assert reason_of(lambda: again.by_passkey(half, answer, cookie, HOME)) == "used"


@pytest.mark.parametrize(("changed", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_on_the_second_step_is_refused(
    control_plane: ControlPlane, changed: dict[str, Any], reason: str
) -> None:
    device = add_passkey(control_plane)
    if changed == {"user_handle": b""}:
        reason = "accepted"  # the account is known

    def try_it() -> str:
        complete(control_plane, device, **changed)
        raise PasskeyRefused("accepted")

    assert reason_of(try_it) == reason


def test_the_passkey_of_another_account_completes_no_sign_in(control_plane: ControlPlane) -> None:
    add_passkey(control_plane)
    other = add_passkey(control_plane, OTHER)
    handle = get_account(control_plane).user_id.encode()

    assert reason_of(lambda: complete(control_plane, other)) == "account"
    assert reason_of(lambda: complete(control_plane, other, user_handle=handle)) == "account"


def test_half_a_sign_in_of_another_browser_or_account_takes_no_answer(
    control_plane: ControlPlane,
) -> None:
    device = add_passkey(control_plane)
    add_passkey(control_plane, OTHER)
    half, cookie = half_of(control_plane)
    other_half, other_cookie = half_of(control_plane, OTHER)
    answer = device.get(options_of(control_plane, Purpose.SECOND_STEP, cookie))
    login = control_plane.second_factor_login

    assert reason_of(lambda: login.by_passkey(half, answer, other_cookie, HOME)) == "browser"
    assert reason_of(lambda: login.by_passkey(other_half, answer, cookie, HOME)) == "account"
    assert reason_of(lambda: log_in(control_plane, answer, cookie)) == "purpose"
    from_page = answer_of(control_plane, device, browser=cookie)
    assert reason_of(lambda: login.by_passkey(half, from_page, cookie, HOME)) == "purpose"


def test_a_new_password_ends_half_a_sign_in_with_a_passkey(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    half, cookie = half_of(control_plane)
    answer = device.get(options_of(control_plane, Purpose.SECOND_STEP, cookie))
    link = create_link(control_plane)
    control_plane.password_changes.by_link(link, CHOSEN, HOME)

    with pytest.raises(HalfSignInExpired):
        control_plane.second_factor_login.by_passkey(half, answer, cookie, HOME)


def test_a_passkey_of_a_former_address_is_not_offered_and_not_accepted(
    control_plane: ControlPlane,
) -> None:
    device = add_passkey(control_plane)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factors set rp_id = 'former.example.com'")
    _, cookie = half_of(control_plane)

    assert control_plane.second_factor_login.pending(cookie).passkey_options is None
    former = {"rp_id": "former.example.com"}
    assert reason_of(lambda: sign_in(control_plane, device, **former)) == "rp_id"


def test_a_passkey_signs_in_again_and_raises_what_was_shown(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    result = sign_in(control_plane, device)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set methods = 'pwd', authenticated_at = 5")
    caller = caller_of(control_plane, result)
    login = login_of(control_plane)
    options = login.options_again(caller, result.session)
    assert options
    answer = device.get(options)

    login.sign_in_again(caller, answer, result.session)

    renewed = caller_of(control_plane, result)
    assert renewed.session.methods == "pwd hwk mfa"
    assert renewed.has_recent_sign_in
    assert renewed.session.session_id == caller.session.session_id
    assert reason_of(lambda: login.sign_in_again(caller, answer, result.session)) == "used"


@pytest.mark.parametrize(("changed", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_on_signing_in_again_is_refused(
    control_plane: ControlPlane, changed: dict[str, Any], reason: str
) -> None:
    device = add_passkey(control_plane)
    result = sign_in(control_plane, device)
    caller = caller_of(control_plane, result)
    login = login_of(control_plane)

    def again() -> None:
        options = options_of(control_plane, Purpose.SIGN_IN_AGAIN, result.session)
        login.sign_in_again(caller, device.get(options, **changed), result.session)
        raise PasskeyRefused("accepted")

    expected = "accepted" if changed == {"user_handle": b""} else reason
    assert reason_of(again) == expected


def test_the_passkey_of_another_user_does_not_sign_in_again(control_plane: ControlPlane) -> None:
    device, other = add_passkey(control_plane), add_passkey(control_plane, OTHER)
    mine, hers = sign_in(control_plane, device), sign_in(control_plane, other)
    caller, login = caller_of(control_plane, mine), login_of(control_plane)
    answer = other.get(options_of(control_plane, Purpose.SIGN_IN_AGAIN, mine.session))
    of_her_page = device.get(options_of(control_plane, Purpose.SIGN_IN_AGAIN, hers.session))

    assert reason_of(lambda: login.sign_in_again(caller, answer, mine.session)) == "account"
    assert reason_of(lambda: login.sign_in_again(caller, of_her_page, mine.session)) == "browser"


def test_a_revoked_session_is_not_renewed(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    result = sign_in(control_plane, device)
    caller = caller_of(control_plane, result)
    answer = device.get(options_of(control_plane, Purpose.SIGN_IN_AGAIN, result.session))
    control_plane.sessions.revoke(caller, caller.session.session_id)

    with pytest.raises(NotAuthenticated):
        login_of(control_plane).sign_in_again(caller, answer, result.session)


def test_too_many_sign_ins_of_an_account_wait(
    control_plane: ControlPlane, many_sign_ins: pytest.MonkeyPatch
) -> None:
    many_sign_ins.undo()
    device = add_passkey(control_plane, flags=SYNCED, has_counter=False)

    def results() -> Iterator[str]:
        for _ in range(70):
            try:
                sign_in(control_plane, device)
            except AnyscaleError as error:
                yield error.code
                return

    assert list(results()) == ["throttled"]


def test_half_a_sign_in_is_completed_once(control_plane: ControlPlane) -> None:
    device = add_passkey(control_plane)
    half, cookie = half_of(control_plane)
    login = control_plane.second_factor_login

    def complete() -> LoginResult:
        answer = device.get(options_of(control_plane, Purpose.SECOND_STEP, cookie))
        return completed(login.by_passkey(half, answer, cookie, HOME))

    complete()
    with pytest.raises(HalfSignInExpired):
        complete()
    assert count_sessions(control_plane, EMAIL) == 1
