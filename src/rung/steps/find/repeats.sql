-- Statements that requests execute again and again from one line: one row a route, database, statement and line.  An
-- execution without rows is one that failed, where the driver tells rows of that statement at all, and is not counted:
-- what is tried again has been answered once.
, executions as (
    select
        kept.number as request,
        kept.method || ' ' || kept.route as route,
        coalesce(segments.database, '') as database,
        segments.name as statement,
        coalesce(segments.code, '') as code,
        segments.start_s,
        segments.duration_s,
        segments.calls,
        segments.rows
    from segments
    join kept using (host, instance, worker, request)
    where segments.seam = 'query'
),
telling as (
    select distinct database, statement, true as tells from executions where rows is not null
),
answered as (
    select executions.*
    from executions
    left join telling using (database, statement)
    where executions.rows is not null or telling.tells is null
),
asked as (
    select
        request, route, database, statement, code,
        cast(sum(calls) as bigint) as calls,
        min(start_s) as first_s,
        coalesce(sum(rows), 0) as rows,
        sum(duration_s) as spent_s
    from answered
    group by all
),
often as (
    select * from asked where calls >= {calls_min}
),
-- What was there before and gave a row for each: of several the one with the fewest rows that suffice.
sources as (
    select
        often.request, often.database, often.statement, often.code,
        arg_min(earlier.statement, (earlier.rows, -earlier.first_s, earlier.statement)) as source,
        arg_min(earlier.code, (earlier.rows, -earlier.first_s, earlier.statement)) as source_code,
        min(earlier.rows) as source_rows
    from often
    join asked as earlier
        on earlier.request = often.request and earlier.first_s < often.first_s and earlier.rows >= often.calls
        and (earlier.statement <> often.statement or earlier.database <> often.database)
    group by all
),
-- The source that most of them have in common.
common as (
    select
        often.route, often.database, often.statement, often.code, sources.source, sources.source_code,
        count(*) as times
    from often
    join sources using (request, database, statement, code)
    group by all
),
favoured as (
    select
        route, database, statement, code,
        arg_max(common.source, (common.times, common.source, common.source_code)) as source,
        arg_max(common.source_code, (common.times, common.source, common.source_code)) as source_code
    from common
    group by route, database, statement, code
),
-- How many different things were asked for, of those whose reads are in the sample: all reads of a thing are, or none.
keys as (
    select
        kept.number as request,
        coalesce(segments.database, '') as database,
        segments.name as statement,
        coalesce(segments.code, '') as code,
        count(*) as digested,
        count(distinct reads.key) as keys
    from reads
    join kept using (host, instance, worker, request)
    join segments using (host, instance, worker, request, segment)
    where segments.seam = 'query'
    group by all
),
known as (
    select statement, min(text) as text, min(kind) as kind from statements group by statement
),
askers as (
    select route, database, statement, count(distinct request) as requests from asked group by all
),
summed as (
    select
        often.route as route, often.database as database, often.statement as statement, often.code as code,
        count(*) as requests,
        quantile_disc(often.calls, 0.5) as calls,
        sum(often.spent_s) as spent_s,
        coalesce(quantile_disc(sources.source_rows, 0.5), 0) as source_rows,
        count(*) filter (where sources.source_rows = often.calls) as one_for_each,
        count(*) filter (where keys.digested >= {calls_min}) as digested,
        -- Of one request no more than 500 reads are digested (probe/reads.py).
        count(*) filter (where keys.keys = 1 and keys.digested >= 0.9 * least(often.calls, 500)) as same
    from often
    left join sources using (request, database, statement, code)
    left join keys using (request, database, statement, code)
    group by all
)
select
    summed.*,
    coalesce(favoured.source, '') as source,
    coalesce(favoured.source_code, '') as source_code,
    askers.requests as asking, known.text, known.kind
from summed
left join favoured using (route, database, statement, code)
join askers using (route, database, statement)
join known using (statement)
order by summed.spent_s desc, summed.route, summed.statement, summed.database, summed.code
