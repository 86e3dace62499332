"""While strangers flood a server: sign-ins of a known browser and by passkey, and resets.

The flood is from other networks, and some strangers have the password. A person signs in with a
password and a one-time code, in a browser that the account knows, and elsewhere by a passkey.
Afterwards users request links to set a new password while 200 networks request them for invented
emails.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.support.mail.mail_site import relay_environment
from tests.support.mail.relay_process import RelayProcess
from tests.support.second_factor.authenticator_apps import add_app, code_shown, seed_keys_folder
from tests.support.second_factor.passkeys import add_passkey, options_in
from tests.support.servers.http_client import HttpClient
from tests.support.sign_in.sign_ins import EMAIL, get_account
from tests.support.users import PASSWORD, create_accounts
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
from benchmarks.strangers.strangers import FLOODS, NETWORKS, Target, flood, from_address
from benchmarks.support.databases import Database, SqliteDatabases
from benchmarks.support.files import email_of, write_users
from benchmarks.support.measuring import show
from benchmarks.support.sites import site

#: sign-ins of each kind during a flood, and the seconds from one to the next: a known browser may
#: begin 20 in a minute
_TRIES, _INTERVAL = 20, 3.5

#: apps of the account: each one has a code in 30 seconds
_APPS = 10

#: seconds of a sign-in, at most
_SIGN_IN = 5

#: links that users request during the flood, and seconds until one has arrived, at most
_RESETS, _ARRIVAL = 15, 60

_PUBLIC_URL = "https://accounts.example.com"


def measure(folder: Path, minutes: int) -> None:
    databases = SqliteDatabases(folder)
    for kind in FLOODS:  # one flood uses up the limits of the next one
        with databases.new() as database:
            _measure_sign_ins(database, folder, kind)
    with databases.new() as database:
        _measure_resets(database, folder, minutes)


class _Person:
    """A user with a password, apps and a passkey, and the browser that the account knows.

    Args:
        database: of the server, which does not run yet.
    """

    def __init__(self, database: Database) -> None:
        assert database.sqlite_path
        settings = Settings(
            database=database.sqlite_path,
            public_url=_PUBLIC_URL,
            second_factor_keys=seed_keys_folder(),
        )
        with closing(ControlPlane(settings)) as control_plane:
            create_accounts(control_plane, EMAIL.partition("@")[0])
            user_id = get_account(control_plane).user_id
            self._seeds = [add_app(control_plane, user_id) for _ in range(_APPS)]
            self.device = add_passkey(control_plane)
        self._cookie: dict[str, str] = {}
        self._sign_ins = 0

    def sign_in_at_home(self, url: str) -> bool:
        """Sign in with a password and a code; return whether there is a session."""
        client, headers = HttpClient(url), from_address("192.0.2.1")
        client.cookies = dict(self._cookie)
        body = {"email": EMAIL, "password": PASSWORD}
        client.request("POST", "/v1/sessions", body, headers=headers)
        code = code_shown(self._seeds[self._sign_ins % _APPS])
        self._sign_ins += 1
        client.request("POST", "/v1/sessions/second-factor", {"code": code}, headers=headers)
        if is_signed_in := _has_session(client):
            self._cookie = {"__Host-device": client.cookies["__Host-device"]}
        return is_signed_in

    def sign_in_by_passkey(self, url: str) -> bool:
        """Sign in by a passkey in a new browser; return whether there is a session."""
        client, headers = HttpClient(url), from_address("192.0.2.2")
        page = client.request("GET", "/sign-in", headers=headers)
        form = {"passkey": self.device.get(options_in(page))}
        client.request("POST", "/sign-in/passkey", form=form, headers=headers)
        return _has_session(client)


def _has_session(client: HttpClient) -> bool:
    return "__Host-session" in client.cookies


def _measure_sign_ins(database: Database, folder: Path, kind: str) -> None:
    person = _Person(database)
    settings = {
        "ANYSCALE_PUBLIC_URL": _PUBLIC_URL,
        "ANYSCALE_SECOND_FACTOR_KEYS": str(seed_keys_folder()),
    }
    device = person.device
    with site(database, folder, settings) as place:
        url = place.server.url
        assert person.sign_in_at_home(url)
        target = Target(
            url, EMAIL, PASSWORD, device.origin, device.credential_id, device.user_handle
        )
        sign_ins = {
            "password and code in a known browser": partial(person.sign_in_at_home, url),
            "a passkey": partial(person.sign_in_by_passkey, url),
        }
        with flood(target, kind) as answers:
            times = _times(sign_ins)
        for what, seconds in times.items():
            show(
                f"longest of {len(seconds)} sign-ins by {what}, flood of {kind}",
                max(seconds),
                _SIGN_IN,
                " s",
                note=f" (answers to the flood: {_text(answers)})",
            )


def _times(sign_ins: Mapping[str, Callable[[], bool]]) -> dict[str, list[float]]:
    """Sign in by each way in turns; a sign-in that fails takes forever."""
    times: dict[str, list[float]] = {what: [] for what in sign_ins}
    for _ in range(_TRIES):
        began = time.monotonic()
        for what, sign_in in sign_ins.items():
            start = time.perf_counter()
            is_signed_in = sign_in()
            times[what].append(time.perf_counter() - start if is_signed_in else math.inf)
        time.sleep(max(began + _INTERVAL - time.monotonic(), 0))
    return times


def _text(answers: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {status}" for status, count in sorted(answers.items()))


def _measure_resets(database: Database, folder: Path, minutes: int) -> None:
    users = write_users(folder / "users.yaml", _RESETS)
    with RelayProcess(folder) as relay:
        settings = relay_environment(relay.port, "none", MAIL_PER_MINUTE="60")
        with site(database, folder, settings) as place:
            place.run("user", "batch-create", "-f", users)
            target = Target(place.server.url, "", "", "", b"", b"")
            with flood(target) as answers:
                requested = _request_resets(place.server.url, minutes * 60)
                _wait_for(relay)
        arrived = {mail.recipient: mail.started for mail in relay.mails()}
    times = [arrived.get(email, math.inf) - at for email, at in requested.items()]
    show(
        f"longest time of {len(times)} resets while {NETWORKS} networks request links for"
        f" {minutes} min",
        max(times),
        _ARRIVAL,
        " s",
        note=f" (the flood: {_text(answers)}; resets arrived after"
        f" {', '.join(f'{seconds:.1f}' for seconds in times)} s)",
    )


def _request_resets(url: str, seconds: float) -> dict[str, float]:
    """Request a link for each user, spread over some seconds; return when, by email."""
    requested = {}
    begin = time.monotonic()
    for number in range(_RESETS):
        time.sleep(max(begin + (number + 0.5) * seconds / _RESETS - time.monotonic(), 0))
        email, headers = email_of(number), from_address(f"192.0.2.{number + 1}")
        requested[email] = time.monotonic()
        HttpClient(url).request("POST", "/forgot-password", form={"email": email}, headers=headers)
    return requested


def _wait_for(relay: RelayProcess) -> None:
    """Wait until each link has arrived, or has not in time."""
    until = time.monotonic() + 1.5 * _ARRIVAL
    wait_until(lambda: relay.count() >= _RESETS or time.monotonic() > until, 2 * _ARRIVAL)
