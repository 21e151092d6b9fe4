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
kept as (
    select
        traffic.*,
        row_number() over (order by arrived_s, host, instance, worker, request) - 1 as number
    from traffic
    left join closed using (host, instance, worker, minute)
    left join opened using (host, instance, worker, minute)
    where closed.closed is null or not crosses or arrived_s <= opened.until_s or arrived_s % 60 < 0.9375
)
