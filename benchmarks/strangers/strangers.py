"""Strangers who flood a server from many networks, in a process of their own."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import NamedTuple

from tests.support.second_factor.authenticator import SoftAuthenticator
from tests.support.second_factor.passkeys import options_in
from tests.support.servers.http_client import HttpClient, HttpResponse

#: networks that request links
NETWORKS = 200

#: Seconds between two requests of a network: an IPv6 site has 60 in ten minutes.
_INTERVAL = 10.0

#: Clients at once that try to sign in, and their seconds after an answer. Most answers are
#: refusals, and more clients would only measure how fast this machine sends requests.
_CLIENTS, _PAUSE = 24, 0.05

#: seconds until the server answers a flood, at most
_FIRST_ANSWER = 60


class Target(NamedTuple):
    """The server and the account that strangers attack, and what they know of the account."""

    url: str
    email: str
    password: str
    #: the origin of its pages
    origin: str
    #: of a passkey, whose id the page of the second step names
    credential_id: bytes
    user_handle: bytes


#: sends requests of a client, with its headers, and returns the answers
_Attack = Callable[[Target, HttpClient, dict[str, str]], list[HttpResponse]]


def from_address(address: str) -> dict[str, str]:
    """Return the headers of a request of a page that comes from an address, through a proxy."""
    return {"X-Forwarded-For": address, "Sec-Fetch-Site": "same-origin"}


def _show_wrong_password(
    target: Target, client: HttpClient, headers: dict[str, str]
) -> list[HttpResponse]:
    body = {"email": target.email, "password": "a wrong password"}
    return [client.request("POST", "/v1/sessions", body, headers=headers)]


def _show_password(
    target: Target, client: HttpClient, headers: dict[str, str]
) -> list[HttpResponse]:
    body = {"email": target.email, "password": target.password}
    return [client.request("POST", "/v1/sessions", body, headers=headers)]


def _show_wrong_codes(
    target: Target, client: HttpClient, headers: dict[str, str]
) -> list[HttpResponse]:
    answers = _show_password(target, client, headers)
    if client.cookies:
        for _ in range(3):
            body = {"code": f"{random.randrange(10**6):06d}"}
            path = "/v1/sessions/second-factor"
            answers.append(client.request("POST", path, body, headers=headers))
    return answers


def _show_wrong_passkey(
    target: Target, client: HttpClient, headers: dict[str, str]
) -> list[HttpResponse]:
    """Answer the challenge of the sign-in page by another key with the id of the passkey."""
    page = client.request("GET", "/sign-in", headers=headers)
    device = SoftAuthenticator(
        target.origin, credential_id=target.credential_id, user_handle=target.user_handle
    )
    form = {"passkey": device.get(options_in(page))}
    return [client.request("POST", "/sign-in/passkey", form=form, headers=headers)]


#: what strangers show -> how
FLOODS: dict[str, _Attack] = {
    "wrong passwords": _show_wrong_password,
    "the right password and no second factor": _show_password,
    "the right password and wrong codes": _show_wrong_codes,
    "wrong passkeys": _show_wrong_passkey,
}


@contextmanager
def flood(target: Target, kind: str = "") -> Iterator[Counter[str]]:
    """Flood a server from its first answer until the block ends.

    Then the answers are counted, by status.

    Args:
        target: the server, and the account.
        kind: one of `FLOODS`; by default requests for links of invented emails.
    """
    begun, ending = multiprocessing.Event(), multiprocessing.Event()
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_run, args=(target, kind, begun, ending, sending))
    process.start()
    sending.close()
    found = Counter[str]()
    try:
        if not begun.wait(_FIRST_ANSWER):
            raise TimeoutError("the server does not answer the flood")
        yield found
    finally:
        ending.set()
        found.update(receiving.recv())
        process.join()


def _run(target: Target, kind: str, begun: Event, ending: Event, counts: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process says when it ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(19)  # strangers have machines of their own, which take none of the server's cores
    found = Counter[str]()
    number = _CLIENTS if kind else NETWORKS
    with ThreadPoolExecutor(number) as pool:
        for client in range(number):
            if kind:
                pool.submit(_attack, target, FLOODS[kind], begun, ending, found)
            else:
                pool.submit(_request_links, target, client, begun, ending, found)
    counts.send(found)


def _attack(
    target: Target, attack: _Attack, begun: Event, ending: Event, found: Counter[str]
) -> None:
    """Attack an account, each time as another browser of another network."""
    while not ending.wait(_PAUSE):
        client = HttpClient(target.url, timeout=60)
        headers = from_address(
            f"2001:{random.randrange(1 << 16):x}:{random.randrange(1 << 16):x}::1"
        )
        try:
            found.update(str(answer.status) for answer in attack(target, client, headers))
            begun.set()
        except (OSError, HTTPException):
            found["no answer"] += 1


def _request_links(
    target: Target, network: int, begun: Event, ending: Event, found: Counter[str]
) -> None:
    """Request links for invented emails from an IPv6 site, as often as its limit allows."""
    ending.wait(_INTERVAL * network / NETWORKS)
    begin = time.monotonic()
    for number in count():
        if ending.wait(max(begin + number * _INTERVAL - time.monotonic(), 0)):
            return
        headers = from_address(f"2001:db8:{network:x}:{number % 3}::1")
        form = {"email": f"nobody{network}-{number}@example.org"}
        found["sent"] += 1
        try:
            client = HttpClient(target.url, timeout=60)
            answer = client.request("POST", "/forgot-password", form=form, headers=headers)
            found[str(answer.status)] += 1
            begun.set()
        except (OSError, HTTPException):
            found["no answer"] += 1
