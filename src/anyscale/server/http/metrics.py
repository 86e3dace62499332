"""Metrics of a server process, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

from anyscale.errors import AnyscaleError

__all__ = [
    "BATCHES",
    "HASHES",
    "IN_PROGRESS",
    "POOL_REQUESTS",
    "REQUESTS",
    "SECONDS",
    "SIGN_INS",
    "USERS",
    "count_refusal",
]

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
BATCHES = Counter(
    "anyscale_batches_total", "Responses that say that a batch was published or dropped.", ["state"]
)
USERS = Counter("anyscale_users_created_total", "Users of the published batches.")
HASHES = Counter("anyscale_password_hashes_total", "Password hashes stored.")
SIGN_INS = Counter(
    "anyscale_sign_ins_total", "Sign-in attempts by method and result.", ["method", "result"]
)

_REFUSALS = Counter("anyscale_refusals_total", "Refused requests by error code.", ["code"])


def count_refusal(error: AnyscaleError) -> None:
    """Count a request that is refused with an error of ours, by its code."""
    _REFUSALS.labels(error.code).inc()
