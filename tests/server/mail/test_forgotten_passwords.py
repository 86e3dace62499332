"""A person who forgot the password gets a link by mail, and nobody learns who has an account."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from msgspec import structs
from tests.server.http.pages.requests import PROVIDER
from tests.support.callers import OPERATOR, session_caller
from tests.support.commands.running import RunAnyscale
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import close_senders, mails, make_requests_due, pass_time, send_all
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, checked_user, create_accounts
from tests.support.waiting import wait_until

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.models.users import UserChanges
from anyscale.errors import LinkInvalid, NotAuthenticated, TooManyPasswordResets
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.mail.queue import Queued
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.core.time_units import HOUR_MS, MINUTE_MS
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.sql.accounts import Accounts

CLIENT = ClientInfo("192.0.2.1", "Firefox")
JANE = "jane@example.com"


def create_jane(control_plane: ControlPlane, *, is_sso_user: bool = False) -> str:
    if is_sso_user:
        user = structs.replace(checked_user(JANE), is_sso_user=True)
        control_plane.batches.create(OPERATOR, "jane", [user], "fail", [])
    else:
        create_accounts(control_plane, "jane")
    [jane] = control_plane.users.find([JANE])
    assert jane
    return jane.user_id


def request(control_plane: ControlPlane, email: str = JANE, address: str = "192.0.2.1") -> None:
    control_plane.password_resets.request(email, address)


def is_taken(control_plane: ControlPlane, email: str = JANE, address: str = "192.0.2.1") -> bool:
    try:
        request(control_plane, email, address)
    except TooManyPasswordResets:
        return False
    return True


def secret_by_mail(control_plane: ControlPlane, relay: TestRelay) -> str:
    request(control_plane)
    send_all(control_plane)
    return relay.received[-1].code


def stored_emails(control_plane: ControlPlane) -> list[str | None]:
    with control_plane.store.read() as tx:
        return list(tx.connection.column("select email from password_resets order by reset_id"))


@pytest.mark.both_stores
def test_a_forgotten_password_is_set_by_the_link_of_a_mail(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    caller = session_caller(control_plane, create_jane(control_plane))
    secret = secret_by_mail(control_plane, relay)
    for _ in range(2):  # to open a link consumes nothing
        assert control_plane.password_changes.link_account(secret).email == JANE
    control_plane.password_changes.by_link(secret, NEW_PASSWORD, CLIENT)
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.by_link(secret, NEW_PASSWORD, CLIENT)
    with pytest.raises(NotAuthenticated):  # it was signed in before
        control_plane.sessions.revoke(caller, caller.session.session_id)
    send_all(control_plane)
    assert [mail.subject for mail in relay.received] == [
        "Set a new password",
        "Your password was changed",
    ]


def test_the_link_works_for_an_hour(control_plane: ControlPlane, relay: TestRelay) -> None:
    create_jane(control_plane)
    secret = secret_by_mail(control_plane, relay)
    pass_time(control_plane, HOUR_MS - MINUTE_MS)
    control_plane.password_changes.link_account(secret)
    pass_time(control_plane, MINUTE_MS)
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.link_account(secret)


def test_a_request_revokes_no_link_of_an_administrator_and_stops_no_mail_with_one(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    [link] = control_plane.links.create(OPERATOR, [jane])
    request(control_plane)
    send_all(control_plane)
    control_plane.password_changes.link_account(link.url.partition("#")[2])
    control_plane.links.mail(OPERATOR, [jane])
    request(control_plane)
    send_all(control_plane)
    assert sorted(mail.subject for mail in relay.received) == [
        "Set a new password",
        "Set a new password",
        "Set the password of your account",
    ]


def test_the_newest_of_several_mails_has_the_link_that_works(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_jane(control_plane)
    first, second = (secret_by_mail(control_plane, relay) for _ in range(2))
    with pytest.raises(LinkInvalid):
        control_plane.password_changes.link_account(first)
    control_plane.password_changes.link_account(second)


@pytest.mark.parametrize("provider", [PROVIDER, None])
def test_a_user_who_signs_in_by_sso_gets_a_mail_that_says_so_and_a_link_where_there_is_no_sso(
    store_deployment: Deployment, relay: TestRelay, provider: ProviderSettings | None
) -> None:
    settings = structs.replace(
        store_deployment.settings(), mail=relay.settings(), provider=provider
    )
    with closing(cheap_control_plane(settings)) as control_plane:
        create_jane(control_plane, is_sso_user=True)
        request(control_plane)
        send_all(control_plane)
        close_senders(control_plane)
    [mail] = relay.received
    assert (mail.recipients, bool(mail.code)) == ([JANE], provider is None)
    assert ("single sign-on (SSO)" in mail.text) is (provider is not None)


def test_other_people_get_no_mail(control_plane: ControlPlane, relay: TestRelay) -> None:
    jane = create_jane(control_plane)
    control_plane.updates.update(OPERATOR, jane, UserChanges(email="j.doe@example.com"))
    send_all(control_plane)
    relay.received.clear()
    request(control_plane)  # the former email may be the mailbox of somebody else
    control_plane.lifecycle.suspend(OPERATOR, jane)
    request(control_plane, "j.doe@example.com")
    request(control_plane, "nobody@example.com")
    send_all(control_plane)
    assert (relay.received, mails(control_plane)) == ([], [])


def test_an_email_that_changes_while_it_is_looked_up_gets_no_mail(
    control_plane: ControlPlane, relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_jane(control_plane)
    find = Accounts.find

    def find_before_a_change(accounts: Accounts, key: str) -> AccountRecord | None:
        found = find(accounts, key)
        accounts._connection.execute("update users set email = 'j@example.org'")
        return found

    request(control_plane)
    monkeypatch.setattr(Accounts, "find", find_before_a_change)
    send_all(control_plane)
    assert (relay.received, mails(control_plane)) == ([], [])


def test_an_account_that_is_suspended_before_its_mail_is_sent_gets_none(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    jane = create_jane(control_plane)
    relay.on_recipient = lambda _: "450 later"
    request(control_plane)
    send_all(control_plane)
    assert len(mails(control_plane)) == 1
    control_plane.lifecycle.suspend(OPERATOR, jane)
    assert mails(control_plane) == []


def test_a_typed_email_is_deleted_when_it_was_looked_up_and_within_an_hour(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_jane(control_plane)
    for email in (JANE, "nobody@example.com"):
        request(control_plane, email)
    send_all(control_plane)
    assert stored_emails(control_plane) == [None, None]
    request(control_plane)  # and no server sends mails
    pass_time(control_plane, HOUR_MS - 2 * MINUTE_MS)
    control_plane.clean_up()
    assert stored_emails(control_plane) == [None, None, None]
    send_all(control_plane)
    assert len(relay.received) == 1


def test_a_mail_that_no_relay_takes_within_an_hour_is_not_sent(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_jane(control_plane)
    relay.on_recipient = lambda _: "450 later"
    request(control_plane)
    send_all(control_plane)
    pass_time(control_plane, HOUR_MS)
    relay.on_recipient = lambda _: None
    send_all(control_plane)
    assert (relay.received, mails(control_plane)) == ([], [])


def test_the_audit_log_names_the_account_and_not_what_was_typed(
    control_plane: ControlPlane,
) -> None:
    jane = create_jane(control_plane)
    for email in (JANE, "nobody@example.com"):
        request(control_plane, email)
    send_all(control_plane)
    only = AuditFilter(event="password.reset_requested")
    entries = control_plane.audit_log.list(0, 9, only=only)
    assert [(one.actor, one.subject, one.data) for one in entries] == [("anonymous", jane, "{}")]


def test_requests_are_deleted_after_a_day(control_plane: ControlPlane) -> None:
    request(control_plane)
    pass_time(control_plane, 24 * HOUR_MS)
    request(control_plane)
    control_plane.clean_up()
    assert stored_emails(control_plane) == [JANE]


# Limits


@pytest.mark.both_stores
def test_requests_at_once_stay_within_the_limit(control_plane: ControlPlane) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(is_taken, [control_plane] * 8)) == 3


def test_a_flood_of_one_site_keeps_nobody_else_from_a_link(
    control_plane: ControlPlane, relay: TestRelay
) -> None:
    create_jane(control_plane)
    assert sum(is_taken(control_plane, address="198.51.100.7") for _ in range(9)) == 3
    # With addresses of all networks of its site, and emails of others.
    networks = [f"2001:db8:1:{number:x}::1" for number in range(80)]
    emails = [f"user{number}@example.com" for number in range(80)]
    taken = map(is_taken, [control_plane] * 80, emails, networks)
    assert sum(taken) == 60
    request(control_plane, address="2001:db8:2::1")
    request(control_plane)
    send_all(control_plane, 100_000)
    assert {mail.recipients[0] for mail in relay.received} == {JANE}


def test_requests_of_other_sites_leave_the_user_one_a_day(control_plane: ControlPlane) -> None:
    for _ in range(4):
        taken = [is_taken(control_plane, address=f"198.51.100.{i % 3}") for i in range(9)]
        pass_time(control_plane, HOUR_MS)
        assert any(taken)
    assert is_taken(control_plane)
    assert not is_taken(control_plane)


def test_requests_of_a_clock_that_was_ahead_do_not_count(control_plane: ControlPlane) -> None:
    for _ in range(3):
        request(control_plane)
    pass_time(control_plane, -365 * 24 * HOUR_MS)
    assert is_taken(control_plane)
    control_plane.clean_up()
    assert len(stored_emails(control_plane)) == 1


def test_a_limit_says_when_a_request_is_possible_again(control_plane: ControlPlane) -> None:
    for _ in range(3):
        request(control_plane)
        pass_time(control_plane, 10 * MINUTE_MS)
    with pytest.raises(TooManyPasswordResets, match="try again in 30 minutes") as refused:
        request(control_plane)
    assert 1740 < refused.value.retry_after_seconds <= 1800
    pass_time(control_plane, 30 * MINUTE_MS)
    request(control_plane)


def test_requests_that_wait_are_counted_whether_they_have_an_account_or_not(
    control_plane: ControlPlane, anyscale: RunAnyscale
) -> None:
    create_jane(control_plane)
    token = control_plane.tokens.create(OPERATOR, "joe", "owner", None)
    with serve_in_process(control_plane) as url:
        env = {"ANYSCALE_HOST": url, "ANYSCALE_CLI_TOKEN": token}
        assert "for a new password" not in anyscale("mail", "list", env=env).stderr
        for number, email in enumerate((JANE, "nobody@example.com"), 1):
            request(control_plane, email)
            let_wait(control_plane, 20 * MINUTE_MS)
            metrics = HttpClient(url).request("GET", "/metrics").text
            assert f"anyscale_password_resets_due {number}.0\n" in metrics
            assert "anyscale_mails_due 0.0\n" in metrics
            assert f"anyscale_mail_oldest_seconds {number * 12}" in metrics
        listed = anyscale("mail", "list", env=env)
        assert "2 requests for a new password wait for a server to look up" in listed.stderr
        make_requests_due(control_plane)
        wait_until(lambda: control_plane.mail_queue.queued() == Queued(0, 0, 0))


def let_wait(control_plane: ControlPlane, milliseconds: int) -> None:
    """Let time pass in which no server looks up a request."""
    with control_plane.store.write() as tx:
        execute_sql(
            tx,
            f"update password_resets set created_at = created_at - {milliseconds},"
            f" due_at = due_at + {milliseconds}",
        )


def test_a_refused_request_writes_nothing(control_plane: ControlPlane) -> None:
    for _ in range(3):
        request(control_plane)
    with pytest.raises(TooManyPasswordResets):
        request(control_plane)
    assert stored_emails(control_plane) == [JANE] * 3


def test_the_table_stays_small_and_keeps_what_was_not_looked_up(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.core.login.password_resets._MOST_COUNTED", 2)
    request(control_plane)
    with control_plane.store.write() as tx:
        for number in range(3):
            execute_sql(
                tx,
                "insert into password_resets"
                f" select 'pwr_z{number}', null, email_hash, subscriber, site, created_at, due_at"
                " from password_resets where email is not null",
            )
    control_plane.clean_up()
    assert stored_emails(control_plane) == [JANE, None, None]
