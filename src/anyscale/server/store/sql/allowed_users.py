"""The accounts that an application signs in, by its audience."""

from collections.abc import Collection, Iterator
from typing import Any

from anyscale.server.store.records.openid import Audience
from anyscale.server.store.sql.connection import Table
from anyscale.server.store.user_ids import end_of_batch, id_prefix

#: the domain of an email, of which no index is: it would slow each new account down
DOMAIN = "substr(email_key, {strpos}(email_key, '@') + 1)"

#: Emails that are looked at for their domains, at most: some 300 ms on one core.
_MOST_EMAILS = 1_000_000

#: Emails among which a domain is found that many have. All emails are compared with rare ones only.
_SAMPLE = 10_000

#: a text after all emails
_END = "\U0010ffff"


class AllowedUsers(Table):
    """Counts accounts that are owners, have one of some domains, or are of one of some batches."""

    def count(self, audience: Audience, most: int) -> tuple[int, bool]:
        """Count accounts that match, as far as a number; tell whether all emails were looked at."""
        count, end = 0, self._end_of_emails() if audience.domains else None
        for condition, values in self._conditions(audience, end):
            sql = (
                f"select count(*) from (select 1 from live_users where {condition} limit ?) as one"
            )
            count += self._connection.number(sql, *values, most - count)
        return count, end is None

    def domains_in_use(self, domains: Collection[str]) -> set[str]:
        """Return those domains that an email has, also one that a batch has reserved."""
        found = self._domains(domains, _SAMPLE)
        rare = set(domains) - set(found)
        if rare and sum(found.values()) == _SAMPLE:
            return set(found) | set(self._domains(rare, _MOST_EMAILS))
        return set(found)

    def _domains(self, domains: Collection[str], rows: int) -> dict[str, int]:
        """Return the domains of the first emails that have one of some, and how many have each."""
        emails = f"select {DOMAIN} as domain from users where email_key <= ? and {DOMAIN} {{any}}"
        sql = f"select domain, count(*) from ({emails} limit ?) as found group by domain"
        end = self._end_of_emails() or _END
        return dict(self._connection.rows(sql, end, self._connection.texts(domains), rows))

    def _end_of_emails(self) -> str | None:
        """Return the last email that is looked at; None for all."""
        sql = "select email_key from users order by email_key limit 1 offset ?"
        found = self._connection.column(sql, _MOST_EMAILS)
        return str(found[0]) if found else None

    def _conditions(self, audience: Audience, end: str | None) -> Iterator[tuple[str, list[Any]]]:
        """Generate conditions with their values; no account meets two of them."""
        of_domains = self._connection.texts(audience.domains)
        if audience.domains:
            # The range lets SQLite read the index of the emails, and few rows of the table.
            yield f"email_key <= ? and {DOMAIN} {{any}}", [end or _END, of_domains]
        for batch_id in audience.batch_ids:
            ids = [id_prefix(batch_id), end_of_batch(batch_id)]
            yield f"user_id > ? and user_id < ? and not {DOMAIN} {{any}}", [*ids, of_domains]
        if audience.owners:
            others = f"not {DOMAIN} {{any}} and not batch_id {{any}}"
            of_batches = self._connection.texts(audience.batch_ids)
            yield f"permission_level = 'owner' and {others}", [of_domains, of_batches]
