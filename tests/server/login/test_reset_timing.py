"""No answer to a request for a forgotten password reveals whether the email has an account."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from tests.support.callers import OPERATOR
from tests.support.mail.mail_site import MailSite, relay_environment
from tests.support.mail.relays import running_relay
from tests.support.rank_sum import area_under_curve, rank_score
from tests.support.users import checked_users

pytestmark = pytest.mark.alone

_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}

#: of IPv4 each address is a network of its own, with limits of its own
_addresses = (f"127.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in count(256))

#: samples that are compared by the area under the curve; of fewer it says little
_LARGE = 1_000


class Times(NamedTuple):
    """Seconds of the answers to a request, and to the next one, of another email."""

    own: float
    next: float


@pytest.fixture
def emails(pytestconfig: pytest.Config) -> list[str]:
    """The local parts of the emails of accounts."""
    number: int = pytestconfig.getoption("--resets") // 2
    return [f"there{i}" for i in range(number)]


@pytest.fixture
def site(tmp_path: Path, emails: list[str]) -> Iterator[MailSite]:
    """A server that sends mail to a relay."""
    with running_relay() as relay:
        site = MailSite(tmp_path, relay_environment(relay.port, "none"))
        for first in range(0, len(emails), 500):
            users = checked_users(*emails[first : first + 500])
            site.control_plane.batches.create(OPERATOR, str(first), users, "fail", [])
        with site:
            yield site
            relay.wait_for(len(emails), 90)  # many at once come at random times


def test_a_known_email_is_answered_as_an_unknown_one(
    site: MailSite, emails: list[str], record_property: Callable[[str, object], None]
) -> None:
    times: dict[str, list[Times]] = {"there": [], "nobody": []}
    answers = {ask(site, "warm")[1]}
    for i in range(len(emails)):
        # Alternating, also in which is first, so that noise delays both alike.
        for name in sorted(times, reverse=i % 2 == 0):
            own, answer = ask(site, f"{name}{i}")
            following, other = ask(site, f"other-{name}{i}")
            times[name].append(Times(own, following))
            answers |= {answer, other}
    assert len(answers) == 1
    for which in ("own", "next"):
        there, nobody = ([getattr(one, which) for one in some] for some in times.values())
        area, score = area_under_curve(there, nobody), rank_score(there, nobody)
        record_property(which, f"area under the curve {area:.3f}, rank score {score:.2f}")
        assert abs(score) < 4
        assert len(there) < _LARGE or abs(area - 0.5) <= 0.05


def ask(site: MailSite, name: str) -> tuple[float, str]:
    """Request a link; give the seconds until the answer, and what the answer has beside times."""
    address = next(_addresses), 0
    with closing(
        http.client.HTTPConnection("127.0.0.1", site.server.port, 60, address)
    ) as connection:
        connection.connect()
        body = urlencode({"email": f"{name}@example.com"})
        started = time.perf_counter()
        connection.request("POST", "/forgot-password", body, _HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        seconds = time.perf_counter() - started
    headers = {name: value for name, value in answer.headers.items() if name not in _CHANGING}
    return seconds, f"{answer.status} {headers} {text!r}"


_CHANGING = {"date", "x-request-id"}
