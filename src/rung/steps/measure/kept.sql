-- The requests that everything is worked out from, numbered in order of arrival.  Health checks are no traffic, nor are
-- jobs, work after the response, and exemplars, which were kept because they are unlike the others.
-- Where windows of time were open, what arrived before one and reached into it was kept as well: the longer, the
-- likelier, so that it would make every percentile too high.  It is told by its minute: a window opens with each
-- minute, and what arrived later than everything that stayed within the minute arrived while none was open.
-- At every level the first 0.9375 seconds are (probe/windows.py).
with traffic as (
    select
        *,
        floor(arrived_s / 60) as minute,
        floor((arrived_s + duration_s) / 60) > floor(arrived_s / 60) as crosses
    from requests
    where coalesce(kind, 'request') = 'request' and not coalesce(exemplar, false)
        and lower(trim(route, '/')) not in ('health', 'healthz', 'livez', 'readyz', 'ping', 'up', 'status')
),
closed as (
    select distinct host, instance, worker, floor(from_s / 60) as minute, true as closed
    from totals
),
opened as (
    select host, instance, worker, minute, max(arrived_s) filter (where not crosses) as until_s
    from traffic
    group by host, instance, worker, minute
),
-- One join a step, so that columns keep their plain names on every engine (adapters/clickhouse).
timed as (
    select traffic.*, closed.closed from traffic left join closed using (host, instance, worker, minute)
),
kept as (
    select
        timed.*,
        row_number() over (order by timed.arrived_s, timed.host, timed.instance, timed.worker, timed.request) - 1
            as number
    from timed
    left join opened using (host, instance, worker, minute)
    where timed.closed is null or not timed.crosses or timed.arrived_s <= opened.until_s
        or timed.arrived_s % 60 < 0.9375
)
