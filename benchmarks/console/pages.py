"""The lists of the console among many accounts: the p99 of each page."""

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlencode

from benchmarks.support.browsers import OWNER, OwnerBrowser
from benchmarks.support.filling import FILLED_BATCH, OPEN_BATCH, filled_email, filled_id
from benchmarks.support.measuring import p99, show, timed

#: so few that p99 is the slowest one
_REQUESTS = 60
_LIMIT_MS = 100

_USERS, _BATCHES, _AUDIT = "/console/users", "/console/batches", "/console/audit"

#: filters of the list of users
_FILTERS = (
    *({"state": state} for state in ("password", "sso", "link", "none", "suspended")),
    *({"role": role} for role in ("owner", "collaborator")),
    {"batch": FILLED_BATCH},
    {"batch": OPEN_BATCH},
    {"state": "suspended", "role": "owner", "batch": FILLED_BATCH},
)

_SEARCHES = (
    ("an email", filled_email(456)),
    ("the beginning of an email", filled_email(7)[:4]),
    ("a name", "name777"),
    ("the beginning of all names", "name"),
    ("two words", "name777 lastname777"),
    ("a part of a word", "ame77"),
    ("nobody", "nobody of this name"),
)


def measure_pages(kind: str, browser: OwnerBrowser, users: int) -> None:
    """Open each page among accounts of `filling`."""
    for title, path in paths_of_pages(users):
        browser.open(path)
        times = [timed(partial(browser.open, path)).wall * 1e3 for _ in range(_REQUESTS)]
        show(f"{kind}: p99 of {title}", p99(times), _LIMIT_MS, " ms")


def paths_of_pages(users: int) -> Iterator[tuple[str, str]]:
    """Give the title and the path of each page."""
    for title, page, parameters in _pages(users):
        yield title, f"{page}?{urlencode(parameters)}".rstrip("?")


_Page = tuple[str, str, dict[str, str]]


def _pages(users: int) -> Iterator[_Page]:
    middle = filled_id(users // 2)
    for name, place in {
        "first": {},
        "next": {"after": middle},
        "previous": {"before": middle},
        "last": {"last": "true"},
    }.items():
        yield f"the {name} page of users", _USERS, place
        for chosen in _FILTERS:
            words = ", ".join(f"{field} {text}" for field, text in chosen.items())
            yield f"the {name} page of users, {words}", _USERS, chosen | place
    for what, text in _SEARCHES:
        yield f"the search for {what}", _USERS, {"q": text}
        yield f"the search for {what}, suspended", _USERS, {"q": text, "state": "suspended"}
    yield from _batch_pages()
    yield from _audit_pages(users)


def _batch_pages() -> Iterator[_Page]:
    yield "the list of batches", _BATCHES, {}
    yield "the next page of batches", _BATCHES, {"before": OPEN_BATCH}
    yield "the list of open batches", _BATCHES, {"only": "open"}
    for name, batch in {"published": FILLED_BATCH, "open": OPEN_BATCH}.items():
        yield f"a large batch that is {name}", f"{_BATCHES}/{batch}", {}
    yield "the progress of a large batch", f"{_BATCHES}/{OPEN_BATCH}/progress", {}


def _audit_pages(users: int) -> Iterator[_Page]:
    yield "the next page of audit entries", _AUDIT, {"before": str(users // 2)}
    yield "the previous page of audit entries", _AUDIT, {"after": str(users // 2)}
    actor, subject = f"user:{filled_id(7)}", filled_id(1)
    for chosen in (
        {},
        {"event": "login.denied"},
        {"event": "token.created"},
        {"actor": OWNER},
        {"actor": actor},
        {"actor": "token:rare"},
        {"subject": subject},
        {"actor": "token:rare", "event": "login.succeeded"},
        {"actor": "token:rare", "subject": subject},
        {"event": "login.succeeded", "subject": subject},
        {"actor": actor, "event": "login.denied", "subject": subject},
    ):
        words = ", ".join(chosen.values())
        yield f"the first page of audit entries {words}".rstrip(), _AUDIT, chosen
        yield f"the last page of audit entries {words}".rstrip(), _AUDIT, chosen | {"after": "0"}
