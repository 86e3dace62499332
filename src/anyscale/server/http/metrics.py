"""Metrics of a server process, for Prometheus."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import product
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from anyscale import __version__
from anyscale.errors import AnyscaleError
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts.account_count import AccountCount
from anyscale.server.core.batches.service import Change
from anyscale.server.core.mail.kinds import MailResult
from anyscale.server.core.mail.queue import Queued
from anyscale.server.core.openid.protocol import AUTHORIZATION_ERRORS, TOKEN_ERRORS

#: for which a scrape waits for the database
_DATABASE_SECONDS = 1.0

REQUESTS = Counter("anyscale_http_requests_total", "Responses.", ["method", "route", "status"])
SECONDS = Histogram("anyscale_http_request_seconds", "Response time.", ["route"])
IN_PROGRESS = Gauge(
    "anyscale_http_requests_in_progress",
    "Requests without a response yet.",
    multiprocess_mode="livesum",
)
POOL_REQUESTS = Gauge(
    "anyscale_pool_requests",
    "Requests that run in a thread pool or wait for it.",
    ["pool"],
    multiprocess_mode="livesum",
)
BATCHES = Counter("anyscale_batches_total", "Batches that were published or dropped.", ["state"])
USERS = Counter("anyscale_users_created_total", "Users of the published batches.")
UNDONE = Counter("anyscale_users_undone_total", "Accounts deleted by undoing their batch.")
HASHES = Counter("anyscale_password_hashes_total", "Password hashes stored.")
SIGN_INS = Counter(
    "anyscale_sign_ins_total", "Sign-in attempts by method and result.", ["method", "result"]
)
AUTHORIZATIONS = Counter(
    "anyscale_authorizations_total", "Requests to sign in to an application, by result.", ["result"]
)
TOKEN_REQUESTS = Counter(
    "anyscale_token_requests_total",
    "Requests of applications for tokens, by grant type and result.",
    ["grant_type", "result"],
)
MAILS = Counter("anyscale_mails_total", "Attempts to send a mail, by result.", ["result"])
WORKERS = Gauge("anyscale_workers", "Server processes.", multiprocess_mode="livesum")

REFUSALS = Counter("anyscale_refusals_total", "Refused requests by error code.", ["code"])

#: the grant types of the provider, and any other one
GRANT_TYPES = ("authorization_code", "refresh_token", "other")

#: of responses for which there are alerts
_ALERTING = (401, 403, 429, 500, 503)


def count_change(change: Change, users: int) -> None:
    """Count a change of a batch: see `BatchService.on_change`."""
    if change == "hashed":
        HASHES.inc(users)
    elif change == "undone":
        UNDONE.inc(users)
    else:
        BATCHES.labels(change).inc()
        USERS.inc(users)


def count_mail(result: MailResult) -> None:
    MAILS.labels(result).inc()


def count_from_zero(routes: Iterable[tuple[str, str]]) -> None:
    """Create the counters of what alerts look for, with the value 0.

    Prometheus does not see a counter rise that begins with its first event.

    Args:
        routes: method and path of each.
    """
    for (method, route), status in product(routes, _ALERTING):
        REQUESTS.labels(method, route, status)
    codes = _codes_of(AnyscaleError)
    for code in codes:
        REFUSALS.labels(code)
    for sign_in in ("password", "link", "sso"):
        for result in {"signed_in", *codes}:
            SIGN_INS.labels(sign_in, result)
    for result in ("code", "sign_in", "confirmation", *AUTHORIZATION_ERRORS):
        AUTHORIZATIONS.labels(result)
    for grant_type in GRANT_TYPES:
        for result in ("issued", *TOKEN_ERRORS):
            TOKEN_REQUESTS.labels(grant_type, result)
    for state in ("published", "dropped"):
        BATCHES.labels(state)
    for mail_result in get_args(MailResult):
        MAILS.labels(mail_result)


def _codes_of(error: type[AnyscaleError]) -> set[str]:
    return {error.code}.union(*map(_codes_of, error.__subclasses__()))


class DatabaseMetrics(Collector):
    """The metrics that come from the database and not from the work of a process.

    `refresh` reads them, and `registry` has those that are known.
    """

    def __init__(self, control_plane: ControlPlane, accounts: AccountCount) -> None:
        self.registry: Final = CollectorRegistry()
        self.registry.register(self)
        self._control_plane = control_plane
        self._accounts = accounts
        self._unindexed: int | None = None
        self._mails: Queued | None = None
        self._schema: int | None = None
        self._reading: asyncio.Future[None] | None = None

    async def refresh(self) -> None:
        """Read the database, and wait for it for at most a second.

        As long as it does not respond, only the last count of the accounts is known.
        """
        if self._reading is None or self._reading.done():
            self._schema = self._unindexed = self._mails = None
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._read))
        await asyncio.wait([self._reading], timeout=_DATABASE_SECONDS)

    def _read(self) -> None:
        with suppress(AnyscaleError):
            self._schema = self._control_plane.store.schema()
            self._unindexed = self._control_plane.search_index.count_unindexed()
            self._mails = self._control_plane.mail_queue.queued()
            self._accounts.refresh()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        version = GaugeMetricFamily(
            "anyscale_build_info", "The version of the server, as a label.", labels=["version"]
        )
        version.add_metric([__version__], 1)
        yield version
        if self._schema is not None:
            yield GaugeMetricFamily("anyscale_schema", "Schema of the database.", self._schema)
        if self._unindexed is not None:
            yield GaugeMetricFamily(
                "anyscale_unindexed_accounts",
                "Accounts that searches do not find by their words yet.",
                self._unindexed,
            )
        if self._mails is not None:
            yield from _mail_metrics(self._mails)
        if self._accounts.value is not None:
            yield GaugeMetricFamily("anyscale_accounts", "Accounts.", self._accounts.value)
            yield GaugeMetricFamily(
                "anyscale_imported_hashes",
                "Accounts with a hash of another system, whose users have not signed in yet.",
                self._accounts.imported,
            )


def _mail_metrics(queued: Queued) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("anyscale_mails_due", "Mails that are due.", queued.due)
    yield GaugeMetricFamily(
        "anyscale_password_resets_due",
        "Requests of users who forgot their password that are not looked up yet.",
        queued.reset_requests,
    )
    yield GaugeMetricFamily(
        "anyscale_mail_oldest_seconds",
        "How long the oldest mail or request that is due has waited.",
        queued.oldest_seconds,
    )
