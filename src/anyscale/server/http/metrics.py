"""Metrics of a server process, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "BATCHES",
    "HASHES",
    "IN_PROGRESS",
    "POOL_REQUESTS",
    "REFUSALS",
    "REQUESTS",
    "SECONDS",
    "SIGN_INS",
    "USERS",
]

REQUESTS = Counter(
    "anyscale_http_requests_total",
    "Responses.",
    ["method", "route", "status"],
)
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
REFUSALS = Counter("anyscale_refusals_total", "Refused requests by error code.", ["code"])
SIGN_INS = Counter(
    "anyscale_sign_ins_total", "Sign-in attempts by method and result.", ["method", "result"]
)
