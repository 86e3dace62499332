"""The filters of the audit log, and what people type into them."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from litestar.params import QueryParameter
from msgspec import structs

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.times import moment
from anyscale.domain.user_query import MAX_QUERY_TEXT
from anyscale.server.http.console.filters import Filters
from anyscale.server.http.web.console_page import Problem

PATH = "/console/audit"

#: a choice of a period -> its words
PERIODS = {"this-month": "This month", "last-month": "Last month"}

_USER_ID = re.compile(r"(?:user:)?(usr_[0-9a-f]{32})")
_ACTOR = re.compile(r"(?:token|local|user):.*|system|anonymous")
_SUBJECT = re.compile(r"[a-z]{3}_[0-9a-f]+")

_NOT_A_DATE = "This is not a date such as 2026-10-31."


class LogFilters(Filters, frozen=True, rename={"since": "from"}):
    """Which entries the page has."""

    path: ClassVar[str] = PATH
    #: what somebody typed to find a user
    q: str = ""
    account: str = ""
    actor: str = ""
    event: str = ""
    subject: str = ""
    #: dates of ISO 8601 in the zone
    since: str = ""
    until: str = ""
    #: the name of a zone, such as Europe/Berlin; UTC without one
    zone: str = ""

    @property
    def zone_in_words(self) -> str:
        """The name of the zone of dates and times."""
        return "UTC" if self.tzinfo is UTC else self.zone

    @property
    def tzinfo(self) -> tzinfo:
        """The zone of dates and times."""
        try:
            return ZoneInfo(self.zone) if self.zone else UTC
        except (KeyError, OSError, ValueError):  # a name that this machine does not know
            return UTC

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the dates."""
        found = [
            (_NOT_A_DATE, name)
            for name, text in (("from", self.since), ("until", self.until))
            if text and not _is_date(text)
        ]
        if not found and self.since and self.until and self.until < self.since:
            return [("The last day is before the first one.", "until")]
        return found

    @property
    def only(self) -> AuditFilter:
        """The filter of the log."""
        return AuditFilter(
            self.actor,
            self.event,
            self.subject,
            self.account,
            since=moment(self.since, self.tzinfo) if self.since else None,
            until=moment(self.until, self.tzinfo, is_end=True) if self.until else None,
        )

    @property
    def in_period(self) -> "LogFilters":
        """Only the period of these filters."""
        return LogFilters(since=self.since, until=self.until, zone=self.zone)

    def with_typed(self) -> "LogFilters":
        """Return them with what was typed in place of another actor, subject or account."""
        if not self.q:
            return self
        others = structs.replace(self, account="", actor="", subject="")
        if found := _USER_ID.fullmatch(self.q):
            return structs.replace(others, q="", account=found[1])
        if _ACTOR.fullmatch(self.q):
            return structs.replace(others, q="", actor=self.q)
        if _SUBJECT.fullmatch(self.q):
            return structs.replace(others, q="", subject=self.q)
        return others

    @property
    def parameters(self) -> dict[str, Any]:
        """Those that are set: the zone only with a date."""
        dated = self if self.since or self.until else structs.replace(self, zone="")
        return super(LogFilters, dated).parameters


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return "0002" < text < "9999"  # what is left can be converted to any zone


def _iso(text: str) -> str:
    """Return a date as fields of forms have it, such as `2026-10-31`; any other text as it is."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return text


def _days_of(period: str, today: date) -> Sequence[str]:
    """Return the first and the last day of a period; nothing for an unknown one."""
    first = today.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    if period == "last-month":
        last = first - timedelta(days=1)
        first = last.replace(day=1)
    return [first.isoformat(), last.isoformat()] if period in PERIODS else []


_Text = Annotated[str, QueryParameter(max_length=400)]
_Date = Annotated[str, QueryParameter(max_length=40)]


def read_filters(
    q: Annotated[str, QueryParameter(max_length=MAX_QUERY_TEXT)] = "",
    account: _Text = "",
    actor: _Text = "",
    event: _Text = "",
    subject: _Text = "",
    since: Annotated[str, QueryParameter(name="from", max_length=40)] = "",
    until: _Date = "",
    zone: Annotated[str, QueryParameter(max_length=64)] = "",
    period: _Date = "",
) -> LogFilters:
    """Read the filters of an address; a period replaces the dates."""
    texts = (q, account, actor, event, subject, _iso(since.strip()), _iso(until.strip()), zone)
    read = LogFilters(*map(str.strip, texts)).with_typed()
    if days := _days_of(period, datetime.now(read.tzinfo).date()):
        read = structs.replace(read, since=days[0], until=days[1])
    return read
