-- What the server itself counted of each statement while it was looked at.  What was not there at the first look had
-- not run before.
with began as (
    select database, min(at_s) as began_s from statement_totals group by database
),
counted as (
    select
        totals.database,
        totals.query_id,
        max(totals.statement) as statement,
        max(totals.calls) - coalesce(min(totals.calls) filter (where totals.at_s = began.began_s), 0) as calls,
        max(totals.total_s) - coalesce(min(totals.total_s) filter (where totals.at_s = began.began_s), 0) as total_s,
        max(totals.helpers) - coalesce(min(totals.helpers) filter (where totals.at_s = began.began_s), 0) as helpers,
        max(totals.rows) - coalesce(min(totals.rows) filter (where totals.at_s = began.began_s), 0) as given,
        max(totals.temporary_blocks)
        - coalesce(min(totals.temporary_blocks) filter (where totals.at_s = began.began_s), 0) as temporary_blocks
    from statement_totals as totals
    join began using (database)
    group by totals.database, totals.query_id
)
select
    coalesce(statement, '') as statement, database, cast(sum(calls) as bigint) as calls, sum(total_s) as total_s,
    cast(coalesce(sum(helpers), 0) as bigint) as helpers, cast(coalesce(sum(given), 0) as bigint) as given,
    cast(coalesce(sum(temporary_blocks), 0) as bigint) * 8192 as temporary_bytes
from counted
where counted.calls > 0
group by all
order by total_s desc, statement, database
