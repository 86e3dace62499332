"""The time of a mail tells nobody which other emails have an account, and no stranger delays it.

The clock is the test's: times are equal, and not only alike.
"""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.mail.counted_clock import CountedClock, counted_clock
from tests.support.mail.relays import TestRelay
from tests.support.mail.sending import close_senders, mails, sender_of
from tests.support.servers.control_planes import Deployment
from tests.support.users import create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.mail.sender import MailSender

OWN = "own@example.com"
LATER = "later@example.com"


class Site:
    """A control plane that sends 60 mails a minute, and a relay that needs some time for each."""

    def __init__(self, control_plane: ControlPlane, relay: TestRelay, clock: CountedClock) -> None:
        self.control_plane = control_plane
        self.clock = clock
        self.relay = relay
        #: when the relay was asked for a recipient, in seconds
        self.arrived: list[tuple[str, float]] = []
        self.begin()

    @property
    def sender(self) -> MailSender:
        """The sender of mails to users who forgot their password."""
        return self.control_plane.mail_senders[1]

    def begin(self) -> None:
        """Forget what has arrived."""
        self.arrived.clear()
        self._began_at = self.clock.milliseconds

    def be_slow(self, seconds: float, sender: MailSender | None = None, only: str = "") -> None:
        """Let the relay need some seconds for each recipient, or for one of them."""

        def take(address: str) -> None:
            self.arrived.append((address, (self.clock.milliseconds - self._began_at) / 1_000))
            if only in address:
                self.clock.take_time(sender or self.sender, seconds)

        self.relay.on_recipient = take

    def request(self, *emails: str, address: str = "192.0.2.1") -> None:
        for email in emails:
            self.control_plane.password_resets.request(email, address)

    def seconds_of(self, email: str) -> list[float]:
        return [seconds for address, seconds in self.arrived if address == email]


@pytest.fixture
def site(
    store_deployment: Deployment, relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    clock = counted_clock(monkeypatch)
    settings = structs.replace(store_deployment.settings(), mail=relay.settings(per_minute=60))
    with closing(cheap_control_plane(settings)) as control_plane:
        create_accounts(control_plane, "own", "later", "jane", "joe", "ann")
        yield Site(control_plane, relay, clock)
        close_senders(control_plane)


def times_after(site: Site, *emails: str) -> list[tuple[str, float]]:
    """Return when one's own mail and a later one arrive after some requests, of one place."""
    site.begin()
    for number, email in enumerate(emails):
        site.clock.at(number * 0.2, partial(site.request, email))
    site.clock.at(len(emails) * 0.2, partial(site.request, OWN, address="192.0.2.2"))
    site.clock.at(len(emails) * 0.2 + 3, partial(site.request, LATER, address="192.0.2.3"))
    site.clock.run(site.sender, 90)
    times = [(email, seconds) for email, seconds in site.arrived if email in (OWN, LATER)]
    site.clock.pass_time(3_600)  # the limits of the next trial are those of this one
    return times


@pytest.mark.parametrize("seconds", [0.01, 0.3, 2.5, 4.9, 20.0])
@pytest.mark.parametrize("times", [1, 3])
def test_mails_come_at_the_same_times_whether_emails_requested_before_have_accounts(
    site: Site, times: int, seconds: float
) -> None:
    site.be_slow(seconds)
    with_accounts = times_after(site, *["jane@example.com"] * times)
    assert "jane@example.com" in dict(site.arrived)
    assert [email for email, _ in with_accounts] == [OWN, LATER]
    assert times_after(site, *["nobody@example.com"] * times) == with_accounts


@pytest.mark.parametrize("seconds", [0.01, 2.5, 20.0])
def test_the_same_holds_for_several_emails(site: Site, seconds: float) -> None:
    site.be_slow(seconds)
    with_accounts = times_after(site, "jane@example.com", "joe@example.com", "ann@example.com")
    for emails in (
        ("nobody@example.com", "noone@example.com", "none@example.com"),
        ("nobody@example.com", "joe@example.com", "none@example.com"),
        ("jane@example.com", "nobody@example.com", "ann@example.com"),
    ):
        assert times_after(site, *emails) == with_accounts


def test_a_relay_that_defers_or_refuses_the_mails_of_others_delays_none(site: Site) -> None:
    site.be_slow(0.1)
    without_accounts = times_after(site, "nobody@example.com")
    record, reply = site.relay.on_recipient, ""

    def answer(address: str) -> str | None:
        record(address)
        return reply if "jane" in address else None

    site.relay.on_recipient = answer
    for reply in ("450 later", "550 no such user"):  # noqa: B007 - `answer` reads it
        assert times_after(site, "jane@example.com") == without_accounts


def test_a_mail_to_a_user_who_forgot_the_password_takes_no_place_of_other_mails(
    site: Site,
) -> None:
    site.be_slow(0.1)
    site.request("jane@example.com")
    site.clock.run(site.sender, 3)
    assert [address for address, _ in site.arrived] == ["jane@example.com"]
    [own] = site.control_plane.users.find([OWN])
    assert own
    site.control_plane.links.mail(OPERATOR, [own.user_id])
    assert sender_of(site.control_plane).send_next() == 0.0
    assert site.seconds_of(OWN)


def test_requests_for_one_email_that_wait_are_one_mail(site: Site) -> None:
    site.be_slow(0.01)
    site.request("jane@example.com", "jane@example.com", "jane@example.com")
    site.clock.run(site.sender, 60)
    assert len(site.arrived) == 1
    site.request("joe@example.com")
    site.clock.run(site.sender, 60)
    assert len(site.arrived) == 2


def test_a_request_comes_within_a_minute_while_200_networks_ask_for_invented_emails(
    site: Site,
) -> None:
    site.be_slow(0.3)
    networks = [f"2001:db8:{number:x}::1" for number in range(200)]
    for turn in range(3):
        for number, network in enumerate(networks):
            email = f"{turn}-{number}@example.org"
            site.clock.at(turn * 40 + number * 0.05, partial(site.request, email, address=network))
    requested = dict(zip(("own", "later", "jane", "joe", "ann"), (5, 30, 60, 85, 110), strict=True))
    for name, at in requested.items():
        site.clock.at(at, partial(site.request, f"{name}@example.com", address="192.0.2.9"))
    site.clock.run(sender=site.sender, seconds=200)
    for name, at in requested.items():
        [seconds] = site.seconds_of(f"{name}@example.com")
        assert seconds - at <= 60
    # Nothing of them waits where an administrator looks for mails.
    assert site.control_plane.mail_queue.queued().due == 0


def test_requests_beyond_those_with_a_slot_come_at_random_times_of_the_same_seconds(
    site: Site,
) -> None:
    site.request(*(f"{number}@example.org" for number in range(20)))
    with site.control_plane.store.read() as tx:
        due = tx.connection.column("select due_at from password_resets")
    seconds = {(at - site.clock.milliseconds) / 1_000 for at in due}
    assert {2, 7, 12, 17, 22, 27, 32, 37} <= seconds
    assert (min(seconds), max(seconds)) == (2, 37)
    assert len(seconds) > 15  # of 20


def test_a_flood_for_accounts_keeps_the_rate_of_its_share(site: Site) -> None:
    names = [f"user{number}" for number in range(30)]
    create_accounts(site.control_plane, *names)
    site.be_slow(0.01)
    for number, name in enumerate(names):
        site.request(f"{name}@example.com", address=f"198.51.100.{number}")
    site.clock.run(site.sender, 200)
    assert len(site.arrived) == 30
    times = sorted(seconds for _, seconds in site.arrived)
    # A quarter of 60 a minute, but for a mail that came late.
    assert all(second - first >= 2 for first, second in pairwise(times))
    assert times[-1] - times[0] >= 29 * 4 - 2


def test_a_recipient_at_whom_the_relay_hangs_delays_other_mails_by_at_most_30_seconds(
    site: Site,
) -> None:
    sender = sender_of(site.control_plane)
    found = site.control_plane.users.find(["jane@example.com", "joe@example.com"])
    hangs, joe = (user.user_id for user in found if user)
    site.be_slow(600, sender, only="jane")
    site.control_plane.links.mail(OPERATOR, [hangs])
    site.clock.at(2, partial(site.control_plane.links.mail, OPERATOR, [joe]))
    site.clock.run(sender, 40)
    [seconds] = site.seconds_of("joe@example.com")
    assert 2 < seconds <= 2 + 30
    [due] = mails(site.control_plane)
    assert (due.user_id, due.attempts) == (hangs, 1)


def test_a_slow_mail_has_its_time_while_no_other_one_is_due(site: Site) -> None:
    sender = sender_of(site.control_plane)
    [jane] = site.control_plane.users.find(["jane@example.com"])
    assert jane
    site.be_slow(150, sender)
    site.control_plane.links.mail(OPERATOR, [jane.user_id])
    site.clock.run(sender, 200)
    assert len(site.relay.received) == 1
