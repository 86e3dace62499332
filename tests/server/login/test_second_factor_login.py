"""Every sign-in passes one gate: with a second factor it is complete after two steps."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import msgspec
import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator import base64url
from tests.support.second_factor.authenticator_apps import add_app, code_shown
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    completed,
    create_link,
    events_of,
    get_account,
    set_by_link,
    sign_in_at_home,
    suspend,
)
from tests.support.users import PASSWORD

from anyscale.domain.models.users import UserChanges
from anyscale.errors import (
    AnyscaleError,
    CodeRefused,
    CodesOff,
    HalfSignInExpired,
    NotAuthenticated,
    SeedKeyMissing,
    TooManyFailedLogins,
    TooManyWrongCodes,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SignInTooOld
from anyscale.server.core.login.half_sign_in import HalfSignIn, Shown, add_half_sign_in
from anyscale.server.core.login.sessions import ClientInfo, LoginResult
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.second_factor.recovery_codes import (
    new_recovery_codes,
    recovery_code_hash,
)
from anyscale.server.core.signer import sign
from anyscale.server.store.records.login import HalfSignInRecord

MINUTE = 60_000


@pytest.fixture
def seed(control_plane: ControlPlane) -> bytes:
    """The seed of the app that the account has."""
    return add_app(control_plane, get_account(control_plane).user_id)


def cookie_of(
    control_plane: ControlPlane, password: str = PASSWORD, client: ClientInfo = HOME
) -> str:
    """Show the password of an account that has a second factor; return the cookie."""
    login = control_plane.password_login
    result = login.login(login.prepare(EMAIL, password, client))
    assert isinstance(result, HalfSignIn)
    return result.secret


def half(control_plane: ControlPlane, password: str = PASSWORD) -> HalfSignInRecord:
    """Show the password of an account that has a second factor."""
    return control_plane.second_factor_login.pending(cookie_of(control_plane, password)).half


def read_again(control_plane: ControlPlane, half: HalfSignIn) -> HalfSignInRecord:
    """Return half a sign-in as the database keeps it."""
    return control_plane.second_factor_login.pending(half.secret).half


def methods_of(control_plane: ControlPlane, result: LoginResult) -> tuple[str, str]:
    session = control_plane.sessions.authenticate(result.session).session
    return session.auth_method, session.methods


def count_sessions(control_plane: ControlPlane) -> int:
    with control_plane.store.read() as tx:
        return len(tx.sessions.list(get_account(control_plane).user_id))


def test_a_password_is_half_a_sign_in_and_a_code_completes_it(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun = half(control_plane)
    assert count_sessions(control_plane) == 0
    result = completed(control_plane.second_factor_login.by_code(begun, code_shown(seed), HOME))
    assert methods_of(control_plane, result) == ("password", "pwd otp mfa")


def test_without_a_second_factor_a_password_is_enough(control_plane: ControlPlane) -> None:
    assert methods_of(control_plane, sign_in_at_home(control_plane)) == ("password", "pwd")


def test_an_app_that_showed_no_code_yet_is_not_asked_for(
    control_plane: ControlPlane, seed: bytes
) -> None:
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factors set confirmed_at = null")
    sign_in_at_home(control_plane)
    login = control_plane.password_login
    assert isinstance(login.login(login.prepare(EMAIL, PASSWORD, HOME)), LoginResult)


def test_a_link_sets_the_password_and_gives_no_session(
    control_plane: ControlPlane, seed: bytes
) -> None:
    link = create_link(control_plane)
    result = control_plane.password_changes.by_link(link, CHOSEN, HOME)
    assert isinstance(result, HalfSignIn)
    with pytest.raises(AnyscaleError, match="link"):
        control_plane.password_changes.link_account(link)
    begun = read_again(control_plane, result)
    result = completed(control_plane.second_factor_login.by_code(begun, code_shown(seed), HOME))
    assert methods_of(control_plane, result) == ("link", "pwd otp mfa")
    half(control_plane, CHOSEN)


def test_a_changed_password_keeps_what_the_session_showed(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun = half(control_plane)
    login = control_plane.second_factor_login
    user = control_plane.sessions.authenticate(
        completed(login.by_code(begun, code_shown(seed), HOME)).session
    )
    changed = control_plane.password_changes.change_password(user, PASSWORD, CHOSEN, HOME)
    assert methods_of(control_plane, completed(changed)) == ("password", "pwd otp mfa")


def test_a_changed_password_is_no_recent_sign_in_without_the_factor(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun, login = half(control_plane), control_plane.second_factor_login
    stolen = completed(login.by_code(begun, code_shown(seed), HOME)).session
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = authenticated_at - 960000")
    user = control_plane.sessions.authenticate(stolen)
    changed = control_plane.password_changes.change_password(user, PASSWORD, CHOSEN, HOME)

    user = control_plane.sessions.authenticate(completed(changed).session)
    (factor,) = control_plane.factors.list(user).factors
    with pytest.raises(SignInTooOld):
        control_plane.factors.remove(user, factor.factor_id)


def test_a_session_from_before_the_factor_changes_no_password_without_it(
    control_plane: ControlPlane,
) -> None:
    before = sign_in_at_home(control_plane).session
    user = control_plane.sessions.authenticate(before)
    add_app(control_plane, user.account.user_id)
    changed = control_plane.password_changes.change_password(user, PASSWORD, CHOSEN, HOME)
    assert isinstance(changed, HalfSignIn)
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(before)


def test_signing_in_again_needs_the_factor_and_raises_what_was_shown(
    control_plane: ControlPlane,
) -> None:
    before = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)
    seed = add_app(control_plane, get_account(control_plane).user_id)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = null")
    user = control_plane.sessions.authenticate(before.session)
    begun = control_plane.password_login.sign_in_again(user, CHOSEN, HOME)
    assert begun
    assert not control_plane.sessions.authenticate(before.session).has_recent_sign_in
    client, login = structs.replace(HOME, session=before.session), control_plane.second_factor_login
    assert login.by_code(read_again(control_plane, begun), code_shown(seed), client) is None
    assert control_plane.sessions.authenticate(before.session).has_recent_sign_in
    assert methods_of(control_plane, before) == ("link", "pwd otp mfa")


def test_signing_in_again_after_the_last_factor_was_removed_shows_no_factor(
    control_plane: ControlPlane,
) -> None:
    first = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set methods = 'pwd otp mfa', authenticated_at = null")
    user = control_plane.sessions.authenticate(first.session)
    assert control_plane.password_login.sign_in_again(user, CHOSEN, HOME) is None
    assert control_plane.sessions.authenticate(first.session).has_recent_sign_in
    assert methods_of(control_plane, first) == ("link", "pwd")


def test_signing_in_again_in_another_session_is_refused(control_plane: ControlPlane) -> None:
    first = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)
    second = sign_in_at_home(control_plane, password=CHOSEN)
    seed = add_app(control_plane, get_account(control_plane).user_id)
    user = control_plane.sessions.authenticate(first.session)
    begun = control_plane.password_login.sign_in_again(user, CHOSEN, HOME)
    assert begun
    other = structs.replace(HOME, session=second.session)
    with pytest.raises(HalfSignInExpired, match="another session"):
        control_plane.second_factor_login.by_code(
            read_again(control_plane, begun), code_shown(seed), other
        )


def test_a_code_works_once(control_plane: ControlPlane, seed: bytes) -> None:
    code, login = code_shown(seed), control_plane.second_factor_login
    assert login.by_code(half(control_plane), code, HOME)
    with pytest.raises(CodeRefused, match="wrong, or was used before"):
        login.by_code(half(control_plane), code, HOME)


def add_recovery_codes(control_plane: ControlPlane) -> list[str]:
    codes = new_recovery_codes()
    user_id = get_account(control_plane).user_id
    with control_plane.store.write() as tx:
        tx.recovery_codes.replace(user_id, [h for c in codes if (h := recovery_code_hash(c))])
    return codes


def test_a_recovery_code_signs_in_once_and_is_recorded(
    control_plane: ControlPlane, seed: bytes
) -> None:
    codes, login = add_recovery_codes(control_plane), control_plane.second_factor_login
    result = completed(login.by_recovery_code(half(control_plane), codes[3].lower(), HOME))
    assert methods_of(control_plane, result) == ("password", "pwd otp mfa")
    for wrong in (codes[3], "no code", code_shown(seed), ""):
        with pytest.raises(CodeRefused, match="recovery codes"):
            login.by_recovery_code(half(control_plane), wrong, HOME)
    assert ("recovery_code.used", f"user:{get_account(control_plane).user_id}") in events_of(
        control_plane
    )


def wrong_code(seed: bytes) -> str:
    """Return a code that is right at no time near."""
    near = {code_shown(seed, seconds_ahead=30 * step) for step in range(-12, 13)}
    return next(code for number in range(99) if (code := f"{number:06}") not in near)


def test_seven_wrong_codes_in_ten_minutes_have_to_wait(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun, login = half(control_plane), control_plane.second_factor_login
    (recovery, *_) = add_recovery_codes(control_plane)
    for _ in range(7):
        with pytest.raises(CodeRefused):
            login.by_code(begun, wrong_code(seed), HOME)
    with pytest.raises(
        TooManyWrongCodes, match="wait 10 minutes, or use a recovery code"
    ) as raised:
        login.by_code(begun, code_shown(seed), HOME)
    assert 540 < raised.value.retry_after_seconds <= 600
    assert login.by_recovery_code(begun, recovery, HOME)
    assert login.by_code(half(control_plane), code_shown(seed), HOME)
    assert [event for event, _ in events_of(control_plane)].count("factor.wrong_codes") == 1


def fail_in_turn(control_plane: ControlPlane, seed: bytes, client: ClientInfo) -> int:
    """Enter wrong codes until no more are accepted; return how many there were."""
    begun, count = half(control_plane), 0
    while count < 200:
        try:
            control_plane.second_factor_login.by_code(begun, wrong_code(seed), client)
        except CodeRefused:
            count += 1
        except (TooManyWrongCodes, CodesOff):
            return count
    return count


def test_wrong_codes_of_a_stranger_leave_some_to_a_known_browser_and_no_more_in_all(
    control_plane: ControlPlane,
) -> None:
    known = structs.replace(HOME, device=sign_in_at_home(control_plane).device)
    seed = add_app(control_plane, get_account(control_plane).user_id)
    copied = [fail_in_turn(control_plane, seed, client) for client in (HOME, known, HOME)]
    assert copied == [7, 3, 0]

    def set_failures(failures: int, window: int) -> None:
        with control_plane.store.write() as tx:
            changed = "update factor_states set failures = ?, window_failures = ?"
            execute_sql(tx, changed, (failures, window))

    set_failures(96, 0)
    assert [fail_in_turn(control_plane, seed, client) for client in (HOME, known)] == [1, 3]
    with pytest.raises(CodesOff, match="none is accepted any more"):
        control_plane.second_factor_login.by_code(half(control_plane), code_shown(seed), known)
    set_failures(97, 7)
    with pytest.raises(CodesOff, match="in a browser that you have not signed in with"):
        control_plane.second_factor_login.by_code(half(control_plane), code_shown(seed), HOME)
    begun = half(control_plane)
    assert control_plane.second_factor_login.by_code(begun, code_shown(seed), known)


def test_an_owner_whose_codes_are_off_is_told_to_ask_the_operator(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun, login = half(control_plane), control_plane.second_factor_login
    with pytest.raises(CodeRefused):
        login.by_code(begun, wrong_code(seed), HOME)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factor_states set failures = 100")
    with pytest.raises(CodesOff, match="or ask an owner"):
        login.by_code(begun, code_shown(seed), HOME)
    control_plane.lifecycle.set_role(OPERATOR, begun.user_id, "owner")
    with pytest.raises(CodesOff, match="ask the operator"):
        login.by_code(half(control_plane), code_shown(seed), HOME)


@pytest.mark.both_stores
def test_wrong_codes_at_once_are_no_more_than_in_turn(
    store_deployment: Deployment, control_plane: ControlPlane, seed: bytes
) -> None:
    begun, wrong = half(control_plane), wrong_code(seed)
    with closing(store_deployment.control_plane()) as other, ThreadPoolExecutor(16) as threads:
        servers = [control_plane, other]
        start = Barrier(16)

        def send(number: int) -> str:
            start.wait()
            try:
                servers[number % 2].second_factor_login.by_code(begun, wrong, HOME)
            except AnyscaleError as error:
                return error.code
            return "accepted"

        codes = Counter(threads.map(send, range(16 * 6)))
    assert codes["code_refused"] == 7
    assert codes["too_many_wrong_codes"] == 16 * 6 - 7


@pytest.mark.parametrize("damaged", ["AAAA", "A", "ä"])
def test_an_app_whose_seed_is_damaged_stops_no_other_app(
    control_plane: ControlPlane, seed: bytes, damaged: str
) -> None:
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factors set seed = substr(seed, 1, 21) || ?", (damaged,))
    login = control_plane.second_factor_login
    with pytest.raises(SeedKeyMissing, match="add the app again"):
        login.by_code(half(control_plane), code_shown(seed), HOME)
    second = add_app(control_plane, get_account(control_plane).user_id)
    assert login.by_code(half(control_plane), code_shown(second), HOME)


def test_a_flood_of_wrong_codes_lets_the_account_in_after_the_wait(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun, login = half(control_plane), control_plane.second_factor_login
    for _ in range(7):
        with pytest.raises(CodeRefused):
            login.by_code(begun, wrong_code(seed), HOME)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factor_states set window_at = window_at - 600000")
    assert login.by_code(begun, code_shown(seed), HOME)


def test_after_a_hundred_wrong_codes_in_a_row_only_a_recovery_code_helps(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun, login = half(control_plane), control_plane.second_factor_login
    (recovery, *_) = add_recovery_codes(control_plane)
    with pytest.raises(CodeRefused):
        login.by_code(begun, wrong_code(seed), HOME)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factor_states set failures = 96, window_failures = 0")
    with pytest.raises(CodeRefused):
        login.by_code(begun, wrong_code(seed), HOME)
    with pytest.raises(CodesOff, match="recovery code"):
        login.by_code(begun, code_shown(seed), HOME)
    assert login.by_recovery_code(begun, recovery, HOME)
    assert login.by_code(half(control_plane), code_shown(seed), HOME)
    assert [event for event, _ in events_of(control_plane)].count("factor.codes_off") == 1


def test_wrong_codes_are_counted_for_all_servers(
    store_deployment: Deployment, control_plane: ControlPlane, seed: bytes
) -> None:
    with closing(store_deployment.control_plane()) as other:
        for number in range(7):
            login = (control_plane, other)[number % 2].second_factor_login
            with pytest.raises(CodeRefused):
                login.by_code(half(control_plane), wrong_code(seed), HOME)
        with pytest.raises(TooManyWrongCodes):
            other.second_factor_login.by_code(half(control_plane), code_shown(seed), HOME)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(240, "4 minutes ahead"), (-90, "1.5 minutes behind"), (60, "1 minute ahead")],
)
def test_a_wrong_clock_is_named_with_its_difference(
    control_plane: ControlPlane, seed: bytes, seconds: int, words: str
) -> None:
    code = code_shown(seed, seconds_ahead=seconds)
    with pytest.raises(CodeRefused, match=f"clock of your phone is {words}"):
        control_plane.second_factor_login.by_code(half(control_plane), code, HOME)


def test_a_wrong_clock_is_not_named_to_one_who_guesses(
    control_plane: ControlPlane, seed: bytes
) -> None:
    begun, login = half(control_plane), control_plane.second_factor_login
    for _ in range(3):
        with pytest.raises(CodeRefused):
            login.by_code(begun, wrong_code(seed), HOME)
    with pytest.raises(CodeRefused, match="wrong, or was used before"):
        login.by_code(begun, code_shown(seed, seconds_ahead=240), HOME)


def test_half_a_sign_in_ends_after_ten_minutes(control_plane: ControlPlane, seed: bytes) -> None:
    login = control_plane.second_factor_login
    for at, works in ((-9 * MINUTE, True), (-11 * MINUTE, False), (2 * MINUTE, False)):
        cookie = cookie_of(control_plane)
        begun = login.pending(cookie).half
        with control_plane.store.write() as tx:
            moved = "update half_sign_ins set created_at = created_at + ? where hash = ?"
            execute_sql(tx, moved, (at, begun.hash))
        if works:
            assert login.pending(cookie).email == EMAIL
        else:
            with pytest.raises(HalfSignInExpired):
                login.pending(cookie)
            with pytest.raises(HalfSignInExpired):
                login.by_code(begun, code_shown(seed), HOME)
    control_plane.clean_up()
    with control_plane.store.read() as tx:
        assert execute_sql(tx, "select count(*) from half_sign_ins").fetchone()[0] == 2


def test_who_has_the_password_keeps_out_no_known_browser(
    control_plane: ControlPlane, many_sign_ins: pytest.MonkeyPatch
) -> None:
    many_sign_ins.undo()
    known = structs.replace(HOME, device=sign_in_at_home(control_plane).device)
    seed = add_app(control_plane, get_account(control_plane).user_id)
    for number in range(50):
        for _ in range(20):
            cookie_of(control_plane, client=ClientInfo(f"203.0.113.{number}", "curl"))
    with pytest.raises(TooManyFailedLogins):
        cookie_of(control_plane, client=ClientInfo("198.51.100.1", "a new one"))

    login = control_plane.second_factor_login
    begun = login.pending(cookie_of(control_plane, client=known)).half
    assert login.by_code(begun, code_shown(seed), known)


def test_signing_in_again_is_limited_by_session(
    control_plane: ControlPlane, many_sign_ins: pytest.MonkeyPatch
) -> None:
    many_sign_ins.undo()
    sessions = [set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME).session]
    sessions.append(sign_in_at_home(control_plane, password=CHOSEN).session)
    stolen, own = map(control_plane.sessions.authenticate, sessions)
    again = control_plane.password_login.sign_in_again
    for _ in range(60):
        again(stolen, CHOSEN, HOME)
    with pytest.raises(TooManyFailedLogins):
        again(stolen, CHOSEN, HOME)
    add_app(control_plane, stolen.account.user_id)
    for _ in range(20):
        assert again(stolen, CHOSEN, HOME)
    with pytest.raises(TooManyFailedLogins):
        again(stolen, CHOSEN, HOME)
    assert again(own, CHOSEN, HOME)


ENDS = (
    *("password", "email", "sso", "suspended", "suspended and restored", "many suspended"),
    *("signed out", "signed out elsewhere", "deleted"),
)


@pytest.mark.parametrize("change", ENDS)
def test_a_changed_account_ends_half_a_sign_in(control_plane: ControlPlane, change: str) -> None:
    signed_in = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)
    seed = add_app(control_plane, get_account(control_plane).user_id)
    cookie, login = cookie_of(control_plane, CHOSEN), control_plane.second_factor_login
    begun, user_id = login.pending(cookie).half, get_account(control_plane).user_id
    if change == "password":
        control_plane.password_changes.by_link(create_link(control_plane), CHOSEN, HOME)
    elif change == "email":
        changes = UserChanges(email="new@example.com")
        control_plane.updates.update(OPERATOR, user_id, changes)
    elif change == "sso":
        control_plane.updates.update(OPERATOR, user_id, UserChanges(is_sso_user=True))
    elif change == "signed out":
        control_plane.sessions.revoke_all(OPERATOR, user_id)
    elif change == "signed out elsewhere":
        user = control_plane.sessions.authenticate(signed_in.session)
        control_plane.sessions.revoke_others(user)
    elif change == "suspended":
        suspend(control_plane)
    elif change == "suspended and restored":
        control_plane.lifecycle.suspend(OPERATOR, user_id)
        control_plane.lifecycle.restore(OPERATOR, user_id)
    elif change == "many suspended":
        with control_plane.store.write() as tx:
            tx.accounts.lock([user_id])
            tx.sessions.delete_of([user_id])
    else:
        with control_plane.store.write() as tx:
            tx.accounts.delete(user_id)
    with pytest.raises(HalfSignInExpired):
        login.pending(cookie)
    with pytest.raises(HalfSignInExpired):
        login.by_code(begun, code_shown(seed), HOME)


@pytest.mark.parametrize(
    "cookie", ["", "x", "A" * 43, "A" * 400, "\N{LATIN SMALL LETTER A WITH DIAERESIS}"]
)
def test_a_cookie_of_no_sign_in_is_refused(control_plane: ControlPlane, cookie: str) -> None:
    with pytest.raises(HalfSignInExpired):
        control_plane.second_factor_login.pending(cookie)


@pytest.mark.both_stores
def test_a_thief_of_the_database_and_all_keys_shows_no_password(
    store_deployment: Deployment, control_plane: ControlPlane, seed: bytes
) -> None:
    cookie = cookie_of(control_plane)
    with control_plane.store.read() as tx:
        names = list(tx.server_keys.names())
        rows = execute_sql(tx, "select * from half_sign_ins").fetchall()
        keys = [tx.server_keys.get(name) for name in names]
    stored = [value for row in rows for value in row]
    content = msgspec.json.encode({"user_id": get_account(control_plane).user_id})
    written = [sign(key, content) for key in (*keys, bytes.fromhex("aa" * 32)) if key]
    octets = [bytes(one) for one in stored if isinstance(one, bytes | memoryview)]
    texts = [*map(str, stored), *(one.hex() for one in octets), *map(base64url, octets)]
    assert "half_sign_in" not in names
    assert cookie not in texts
    with closing(store_deployment.control_plane()) as other:
        for server in (control_plane, other):
            for forged in (*written, *texts):
                with pytest.raises(HalfSignInExpired):
                    server.second_factor_login.pending(forged)
        assert other.second_factor_login.pending(cookie).email == EMAIL


def test_a_suspended_account_completes_no_sign_in_that_was_left(
    control_plane: ControlPlane, seed: bytes
) -> None:
    suspend(control_plane)
    with control_plane.store.write() as tx:
        half = add_half_sign_in(tx, get_account(control_plane).user_id, Shown("link", "pwd", 1))
    with pytest.raises(HalfSignInExpired):
        control_plane.second_factor_login.pending(half.secret)


def test_without_its_key_a_code_is_refused_and_not_counted(
    store_deployment: Deployment, control_plane: ControlPlane, seed: bytes
) -> None:
    begun = half(control_plane)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factors set seed = 'other:' || substr(seed, 18)")
    with pytest.raises(SeedKeyMissing, match="key of the server is missing"):
        control_plane.second_factor_login.by_code(begun, code_shown(seed), HOME)
    with control_plane.store.read() as tx:
        assert tx.factor_states.get(begun.user_id).failures == 0


def test_after_a_lost_key_a_new_app_signs_in_and_its_wrong_codes_count(
    control_plane: ControlPlane, seed: bytes
) -> None:
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factors set seed = 'other:' || substr(seed, 18)")
    begun, login = half(control_plane), control_plane.second_factor_login
    new = add_app(control_plane, begun.user_id)
    with pytest.raises(CodeRefused):
        login.by_code(begun, wrong_code(new), HOME)
    with control_plane.store.read() as tx:
        assert tx.factor_states.get(begun.user_id).failures == 1
    assert login.by_code(begun, code_shown(new), HOME)


@pytest.fixture
def off(store_deployment: Deployment, control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """A control plane of the same database without second factors."""
    settings = structs.replace(store_deployment.settings(), second_factor=SecondFactorPolicy("off"))
    with closing(cheap_control_plane(settings)) as other:
        yield other


@pytest.mark.both_stores
def test_a_session_from_when_they_were_off_needs_the_factor_for_what_needs_a_recent_sign_in(
    off: ControlPlane, control_plane: ControlPlane, seed: bytes
) -> None:
    complete = completed(
        control_plane.second_factor_login.by_code(half(control_plane), code_shown(seed), HOME)
    )
    session = sign_in_at_home(off).session

    def is_recent(secret: str) -> bool:
        return control_plane.sessions.authenticate(secret).has_recent_sign_in

    off.sessions.prepare(off.settings.second_factor)
    assert is_recent(session)
    control_plane.sessions.prepare(control_plane.settings.second_factor)
    assert not is_recent(session)
    assert is_recent(complete.session)


def test_where_second_factors_are_off_a_password_is_enough(off: ControlPlane, seed: bytes) -> None:
    assert methods_of(off, sign_in_at_home(off)) == ("password", "pwd")
