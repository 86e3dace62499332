"""The figures of a server process, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "BATCHES",
    "HASHES",
    "QUEUED",
    "REFUSALS",
    "REQUESTS",
    "SECONDS",
    "SIGN_INS",
    "UNDER_WAY",
    "USERS",
]

REQUESTS = Counter(
    "anyscale_http_requests_total", "Requests answered.", ["method", "route", "status"]
)
SECONDS = Histogram("anyscale_http_request_seconds", "Time to answer a request.", ["route"])
UNDER_WAY = Gauge(
    "anyscale_http_requests_under_way",
    "Requests not answered yet.",
    multiprocess_mode="livesum",
)
QUEUED = Gauge(
    "anyscale_queue_length",
    "Requests that wait for a thread or have one.",
    ["lane"],
    multiprocess_mode="livesum",
)
BATCHES = Counter(
    "anyscale_batches_total", "BatchPage published or dropped, as often as answered.", ["state"]
)
USERS = Counter("anyscale_users_created_total", "UserPage of the batches that were published.")
HASHES = Counter("anyscale_password_hashes_total", "Password hashes stored.")
REFUSALS = Counter("anyscale_refusals_total", "Calls refused, by the code of the error.", ["code"])
SIGN_INS = Counter(
    "anyscale_sign_ins_total", "Sign-ins tried, and what they came to.", ["way", "result"]
)
