"""
What a database is asked once a second, and now and then: catalogs and statistics only.

In        nothing
Out       SQL, in the order of the columns of the tables in steps/record.py
Not here  asking (databases.py)
"""

from __future__ import annotations

QUERY_ID_SINCE = 140000
# Stands in each question that pg_stat_statements would otherwise count among the app's.
OWN = "/* rung */"
# How many of its first columns name a row; the others are counters.
KEYS = {"table_totals": 2, "index_totals": 3, "statement_totals": 1}

STARTED = "select /* rung */ extract(epoch from pg_postmaster_start_time())::float8"
CLOCK = "select /* rung */ extract(epoch from clock_timestamp())::float8"

# pg_stat_database counts the connections of one database; the limit is the server's.
DATABASE = """
select /* rung */ numbackends, current_setting('max_connections')::int, xact_commit, xact_rollback,
       blks_read, blks_hit, temp_bytes, deadlocks
from pg_stat_database
where datname = current_database()
"""

# pg_blocking_pids takes the lock manager's locks for a moment, so it is asked of those only that wait for a lock.
_ACTIVITY = """
select /* rung */ datname, pid, backend_type, state, wait_event_type, wait_event,
       extract(epoch from clock_timestamp() - xact_start)::float8,
       extract(epoch from case state when 'active' then clock_timestamp() else state_change end - query_start)::float8,
       {query_id},
       case wait_event_type when 'Lock' then array_to_string(pg_blocking_pids(pid), ',') end, application_name
from pg_stat_activity
where pid <> pg_backend_pid() and state is not null and state <> 'idle'
order by xact_start nulls last
limit 1000
"""
ACTIVITY = _ACTIVITY.replace("{query_id}", "query_id")
ACTIVITY_OLD = _ACTIVITY.replace("{query_id}", "null::bigint")

# An application may call itself anything, a user's name included; so only whom it shares its name with is kept.
PROGRAMS = (
    "psql", "pgAdmin", "DBeaver", "DataGrip", "TablePlus", "Postico", "pgcli", "Beekeeper Studio", "pg_dump",
    "pg_restore", "pg_basebackup", "pg_repack", "pgbench", "PostgreSQL JDBC Driver", "Metabase", "Superset", "Tableau",
    "Power BI", "Airbyte", "Fivetran", "Debezium", "Liquibase", "Flyway", "Hasura", "PostgREST",
)  # fmt: skip


def program_of(application: str | None) -> str | None:
    """
    Return the well-known program that a connection calls itself, None for any other name.

    >>> program_of("DBeaver 24.1 - Main <shop>"), program_of("night report of Ann")
    ('DBeaver', None)
    """
    told = (application or "").lower()
    return next((name for name in PROGRAMS if told.startswith(name.lower())), None)


TABLES = """
select /* rung */ t.schemaname, t.relname, t.n_live_tup, t.n_dead_tup, t.seq_scan, t.seq_tup_read, t.idx_scan,
       t.idx_tup_fetch, t.n_tup_ins, t.n_tup_upd, t.n_tup_del, b.heap_blks_read, b.heap_blks_hit,
       c.relpages::bigint * current_setting('block_size')::bigint
from pg_stat_user_tables t
join pg_statio_user_tables b using (relid)
join pg_class c on c.oid = t.relid
order by c.relpages desc
limit 5000
"""

INDEXES = """
select /* rung */ i.schemaname, i.relname, i.indexrelname, i.idx_scan, i.idx_tup_read, i.idx_tup_fetch,
       b.idx_blks_read, b.idx_blks_hit, c.relpages::bigint * current_setting('block_size')::bigint
from pg_stat_user_indexes i
join pg_statio_user_indexes b using (indexrelid)
join pg_class c on c.oid = i.indexrelid
order by c.relpages desc
limit 5000
"""

EXTENSION = """
select /* rung */ n.nspname, e.extversion
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""

# One statement has a row for each role, and for its calls from within functions.  Without texts the extension need
# not read its file of them.
STATEMENTS = """
select /* rung */ queryid, sum(calls)::bigint, sum(total_exec_time)::float8 / 1000, sum(rows)::bigint,
       sum(shared_blks_read)::bigint, sum(shared_blks_hit)::bigint, sum(temp_blks_written)::bigint,
       sum(wal_bytes)::bigint, {}
from {}.pg_stat_statements(false)
where dbid = (select oid from pg_database where datname = current_database()) and queryid is not null
group by queryid
order by 3 desc
limit 5000
"""

# Parallel workers that helped, which it counts from its version 1.12 on (PostgreSQL 18).
HELPERS, HELPERS_SINCE = "sum(parallel_workers_launched)::bigint", (1, 12)
NO_HELPERS = "null::bigint"

# What manages roles and settings may hold passwords, and is no request's statement.
TEXTS = """
select /* rung */ queryid,
       min(query) filter (where query ~* '^[\\s(]*(select|insert|update|delete|merge|with|values|table|copy|/\\*|--)')
from {}.pg_stat_statements(true)
where dbid = (select oid from pg_database where datname = current_database()) and queryid = any(%(wanted)s)
group by queryid
"""
