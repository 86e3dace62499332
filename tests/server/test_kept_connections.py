"""The control planes of tests share connections to PostgreSQL, which are most of their start."""

from contextlib import closing

from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql

from anyscale.server.settings import Settings

STATE = """
    select pg_backend_pid(), current_setting('application_name'),
        current_setting('statement_timeout'),
        (select count(*) from pg_prepared_statements where name = 'own'),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())
"""


def test_a_control_plane_has_the_connection_of_one_before_but_nothing_else(
    postgres_url: str,
) -> None:
    settings = Settings(database=postgres_url)
    states = []
    for _ in range(2):
        with closing(cheap_control_plane(settings)) as one, one.store.read() as tx:
            states.append(execute_sql(tx, STATE).fetchone())
            execute_sql(tx, "set statement_timeout = '9s'")
            execute_sql(tx, "prepare own as select 1")
            execute_sql(tx, "select pg_advisory_lock(9)")
    (process, *values), other = states
    assert values == ["musterroll", "2min", 0, 0]
    assert other == (process, *values)
