"""A signed-in user adds, replaces and removes second factors."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.sending import UNUSED_RELAY
from tests.support.second_factor.authenticator_apps import add_app, code_shown
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import events_of, get_account
from tests.support.users import create_accounts

from anyscale.errors import (
    AnyscaleError,
    CodeRefused,
    ConfigError,
    NotFound,
    NotPermitted,
    SeedKeyMissing,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller, SignInTooOld
from anyscale.server.core.second_factor.factors import FactorService
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.second_factor.recovery_codes import recovery_code_hash


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    control_plane, _ = filled_control_plane(store_deployment.settings(), _create_jane_and_kim)
    with closing(control_plane):
        yield control_plane


def _create_jane_and_kim(control_plane: ControlPlane) -> None:
    create_accounts(control_plane, "jane", "kim")


@pytest.fixture
def jane(control_plane: ControlPlane) -> SessionCaller:
    return new_session(control_plane)


def new_session(control_plane: ControlPlane, email: str = "jane@example.com") -> SessionCaller:
    return session_caller(control_plane, get_account(control_plane, email).user_id)


def as_it_is_now(control_plane: ControlPlane, user: SessionCaller) -> SessionCaller:
    """Read a session again, as the next request does."""
    with control_plane.store.read() as tx:
        found = tx.sessions.find(user.session.hash)
        assert found
        return SessionCaller(found[1], found[0], tx.now())


def add(control_plane: ControlPlane, user: SessionCaller, name: str = "") -> list[str]:
    """Add an app; give the recovery codes."""
    app = control_plane.factors.begin_app(user)
    return [*control_plane.factors.confirm_app(user, code_shown(app.seed), name)]


def names_of(control_plane: ControlPlane, user: SessionCaller) -> list[str]:
    return [factor.name for factor in control_plane.factors.list(user).factors]


def age(control_plane: ControlPlane) -> None:
    """Let the sign-ins of all sessions be 16 minutes old."""
    with control_plane.store.write() as tx:
        sql = "update sessions set authenticated_at = authenticated_at - 960000"
        execute_sql(tx, sql)


def test_an_app_is_named_after_the_program_unless_the_organization_has_a_name(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    assert control_plane.factors.begin_app(jane).uri.endswith("&issuer=musterroll")


def test_an_app_does_not_replace_itself(control_plane: ControlPlane, jane: SessionCaller) -> None:
    add(control_plane, jane, "Old")
    user = as_it_is_now(control_plane, jane)
    app = control_plane.factors.begin_app(user)
    control_plane.factors.confirm_app(user, code_shown(app.seed), "New", replaces=app.factor_id)
    assert names_of(control_plane, user) == ["Old", "New"]


def test_the_first_app_comes_with_eight_recovery_codes_and_counts_for_the_session(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    app = control_plane.factors.begin_app(jane)
    assert control_plane.factors.list(jane).factors == []

    codes = control_plane.factors.confirm_app(jane, code_shown(app.seed), " Work phone ")
    assert len(set(codes)) == 8
    listed = control_plane.factors.list(jane)
    assert [(one.factor_id, one.name) for one in listed.factors] == [(app.factor_id, "Work phone")]
    assert listed.recovery_codes == 8
    assert as_it_is_now(control_plane, jane).session.methods == "otp mfa"
    assert [event for event, _ in events_of(control_plane)][-2:] == [
        "factor.added",
        "recovery_codes.created",
    ]
    with control_plane.store.read() as tx:
        hashes = [recovery_code_hash(code) for code in codes]
    with control_plane.store.write() as tx:
        user_id = jane.account.user_id
        assert all(code and tx.recovery_codes.use(user_id, code) for code in hashes)


def test_the_first_code_is_used_up(control_plane: ControlPlane, jane: SessionCaller) -> None:
    app = control_plane.factors.begin_app(jane)
    control_plane.factors.confirm_app(jane, code_shown(app.seed))

    (factor,) = control_plane.factors.list(jane).factors
    assert factor.last_step is not None
    with control_plane.store.write() as tx:
        assert not tx.factors.use_step(factor.factor_id, factor.last_step, 1)


def test_after_the_first_factor_the_other_sessions_have_to_show_it(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    other = new_session(control_plane)
    add(control_plane, jane)

    for user in (other, as_it_is_now(control_plane, other)):
        for change in changes(control_plane.factors, user):
            with pytest.raises(SignInTooOld):
                change()
    assert as_it_is_now(control_plane, other).session.authenticated_at is None
    assert as_it_is_now(control_plane, jane).session.authenticated_at is not None
    assert add(control_plane, jane, "Second") == []  # with the codes that there are
    assert len(names_of(control_plane, jane)) == 2


@pytest.mark.both_stores
def test_the_first_factor_ends_the_recent_sign_in_of_a_request_that_runs_in_another_session(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    control_plane.lifecycle.set_role(OPERATOR, jane.account.user_id, "owner")
    own, other = new_session(control_plane), new_session(control_plane)
    kim = get_account(control_plane, "kim@example.com").user_id
    assert control_plane.links.create(other, [kim])
    add(control_plane, own)

    with pytest.raises(SignInTooOld):
        control_plane.links.create(other, [kim])
    with pytest.raises(SignInTooOld):
        control_plane.tokens.create_personal(other, "laptop", 1)


def test_a_request_may_run_for_longer_than_its_sign_in_is_recent(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    control_plane.lifecycle.set_role(OPERATOR, jane.account.user_id, "owner")
    kim = get_account(control_plane, "kim@example.com").user_id
    recent = new_session(control_plane)
    age(control_plane)
    now = as_it_is_now(control_plane, recent)

    assert control_plane.links.create(structs.replace(now, at=now.at - 960_000), [kim])
    with pytest.raises(SignInTooOld, match="15 minutes"):
        control_plane.links.create(now, [kim])


def test_a_session_without_the_factor_changes_nothing_however_recent_it_is(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    add_app(control_plane, jane.account.user_id)

    for change in changes(control_plane.factors, jane):
        with pytest.raises(SignInTooOld, match="did not show your second factor"):
            change()


def test_a_sign_in_of_16_minutes_ago_changes_nothing(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    add(control_plane, jane)
    age(control_plane)

    for change in changes(control_plane.factors, as_it_is_now(control_plane, jane)):
        with pytest.raises(SignInTooOld, match="15 minutes"):
            change()


def changes(factors: FactorService, user: SessionCaller) -> list[Callable[[], object]]:
    """Give everything that changes factors, or shows a seed."""
    return [
        lambda: factors.begin_app(user),
        lambda: factors.pending_app(user),
        lambda: factors.confirm_app(user, "123456"),
        lambda: factors.renew_recovery_codes(user),
        lambda: factors.remove(user, factors.list(user).factors[0].factor_id),
    ]


def test_a_wrong_code_adds_nothing_and_a_wrong_clock_is_named(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    app = control_plane.factors.begin_app(jane)

    with pytest.raises(CodeRefused, match="enter the one that the app shows now"):
        control_plane.factors.confirm_app(jane, "12345")
    with pytest.raises(CodeRefused, match="is 4 minutes behind"):
        control_plane.factors.confirm_app(jane, code_shown(app.seed, seconds_ahead=-240))
    with pytest.raises(ConfigError, match="at most 64"):
        control_plane.factors.confirm_app(jane, code_shown(app.seed), "x" * 65)
    assert names_of(control_plane, jane) == []
    assert control_plane.factors.pending_app(jane) == app
    assert len(control_plane.factors.confirm_app(jane, code_shown(app.seed))) == 8


def test_an_app_that_is_begun_again_has_another_seed_and_the_old_one_is_gone(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    old = control_plane.factors.begin_app(jane)
    new = control_plane.factors.begin_app(jane)

    assert control_plane.factors.pending_app(jane) == new
    with pytest.raises(CodeRefused):
        control_plane.factors.confirm_app(jane, code_shown(old.seed))
    with pytest.raises(NotFound):
        control_plane.factors.remove(jane, old.factor_id)


def test_nothing_is_confirmed_that_was_not_begun(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    kim = new_session(control_plane, "kim@example.com")
    app = control_plane.factors.begin_app(kim)

    with pytest.raises(NotFound):
        control_plane.factors.confirm_app(jane, code_shown(app.seed))
    assert control_plane.factors.pending_app(jane) is None


def test_an_app_that_another_session_has_begun_is_neither_shown_nor_confirmed(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    stolen = new_session(control_plane)
    planted = control_plane.factors.begin_app(stolen)  # the thief knows the seed

    assert control_plane.factors.pending_app(jane) is None
    with pytest.raises(NotFound):
        control_plane.factors.confirm_app(jane, code_shown(planted.seed))
    own = control_plane.factors.begin_app(jane)
    assert control_plane.factors.pending_app(stolen) is None
    assert len(control_plane.factors.confirm_app(jane, code_shown(own.seed))) == 8


def test_with_the_last_factor_the_recovery_codes_go(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    add(control_plane, jane)
    add(control_plane, jane)
    first, second = control_plane.factors.list(jane).factors
    control_plane.factors.remove(jane, first.factor_id)
    assert control_plane.factors.list(jane).recovery_codes == 8

    control_plane.factors.remove(jane, second.factor_id)
    assert control_plane.factors.list(jane).recovery_codes == 0
    with pytest.raises(NotFound):
        control_plane.factors.remove(jane, second.factor_id)
    with pytest.raises(NotFound):
        control_plane.factors.renew_recovery_codes(jane)
    assert len(add(control_plane, jane)) == 8


def test_a_factor_of_another_user_cannot_be_removed(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    kim = new_session(control_plane, "kim@example.com")
    add(control_plane, jane)
    add(control_plane, kim)
    (factor,) = control_plane.factors.list(jane).factors

    with pytest.raises(NotFound):
        control_plane.factors.remove(kim, factor.factor_id)
    app = control_plane.factors.begin_app(kim)
    control_plane.factors.confirm_app(kim, code_shown(app.seed), replaces=factor.factor_id)
    assert len(names_of(control_plane, jane)) == 1


def test_a_new_app_takes_the_place_of_a_lost_one_with_its_first_code(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    add(control_plane, jane, "Lost")
    (lost,) = control_plane.factors.list(jane).factors
    app = control_plane.factors.begin_app(jane)
    assert names_of(control_plane, jane) == ["Lost"]

    control_plane.factors.confirm_app(jane, code_shown(app.seed), "New", lost.factor_id)
    assert names_of(control_plane, jane) == ["New"]
    assert control_plane.factors.list(jane).recovery_codes == 8
    assert ("factor.removed", jane.actor) in events_of(control_plane)


def test_new_recovery_codes_end_the_old_ones(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    old = add(control_plane, jane)
    new = control_plane.factors.renew_recovery_codes(jane)

    assert not {*old} & {*new}
    with control_plane.store.write() as tx:
        for code, works in ((old[0], False), (new[0], True)):
            code_hash = recovery_code_hash(code)
            assert code_hash
            assert tx.recovery_codes.use(jane.account.user_id, code_hash) == works


def test_an_account_has_ten_apps_at_most(control_plane: ControlPlane, jane: SessionCaller) -> None:
    add(control_plane, jane)
    for _ in range(9):
        add_app(control_plane, jane.account.user_id)

    with pytest.raises(ConfigError, match="remove one first"):
        control_plane.factors.begin_app(jane)


def test_without_a_key_nobody_adds_an_app(control_plane: ControlPlane, jane: SessionCaller) -> None:
    settings = structs.replace(control_plane.settings, second_factor_keys=None)
    with closing(ControlPlane(settings)) as keyless, pytest.raises(SeedKeyMissing):
        keyless.factors.begin_app(jane)


def test_where_second_factors_are_off_nothing_is_listed_or_changed(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    add(control_plane, jane)
    settings = structs.replace(control_plane.settings, second_factor=SecondFactorPolicy(mode="off"))
    with closing(ControlPlane(settings)) as off:
        for change in changes(off.factors, jane)[:-1]:
            with pytest.raises(NotPermitted, match="is off"):
                change()
        assert off.factors.list(jane).factors == []


@pytest.mark.both_stores
def test_of_several_that_confirm_at_once_one_adds_the_app_and_gets_the_codes(
    control_plane: ControlPlane, jane: SessionCaller
) -> None:
    others = [new_session(control_plane) for _ in range(3)]
    app = control_plane.factors.begin_app(jane)
    code = code_shown(app.seed)

    def confirm(user: SessionCaller) -> int | str:
        try:
            return len(control_plane.factors.confirm_app(user, code))
        except AnyscaleError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        results = [*pool.map(confirm, [jane, *others] * 2)]
    assert results.count(8) == 1, results
    assert {*results} <= {8, "not_permitted", "not_found"}
    assert len(names_of(control_plane, jane)) == 1
    assert control_plane.factors.list(jane).recovery_codes == 8


def test_a_user_gets_a_notice_of_each_factor_that_comes_or_goes(
    store_deployment: Deployment, jane: SessionCaller
) -> None:
    settings = structs.replace(store_deployment.settings(), mail=UNUSED_RELAY)
    with closing(ControlPlane(settings)) as mailing:
        add(mailing, jane)
        mailing.factors.renew_recovery_codes(jane)
        (factor,) = mailing.factors.list(jane).factors
        mailing.factors.remove(jane, factor.factor_id)
        with mailing.store.read() as tx:
            mails = execute_sql(tx, "select kind from outbox order by mail_id").fetchall()
    assert [kind for (kind,) in mails] == ["factor_added", "factor_removed"]
