-- One row a request in order of arrival.  The arrival is when the load balancer or the load took the
-- request, where that is known; else when the app did.  Time begins with the first arrival that is known,
-- so that a stray request before the load (somebody's browser) does not shift it.  Health checks are no traffic,
-- nor are jobs, work after the response, and exemplars, which were kept because they are unlike the others.
with numbered as (
    select
        *,
        arrived_s - coalesce(queue_s, 0) as due_s,
        row_number() over (order by arrived_s, host, instance, worker, request) - 1 as number
    from requests
    where coalesce(kind, 'request') = 'request' and not coalesce(exemplar, false)
        and lower(trim(route, '/')) not in ('health', 'healthz', 'livez', 'readyz', 'ping', 'up', 'status')
),
origin as (
    select coalesce(min(due_s) filter (where queue_s is not null), min(due_s)) as began_s from numbered
)
select
    number,
    method || ' ' || route as route,
    host || '/' || instance || '/' || worker as process,
    due_s - began_s as due_s,
    arrived_s - began_s as arrived_s,
    coalesce(queue_s, 0) as queue_s,
    queue_s is not null as queue_known,
    duration_s,
    cpu_s,
    status,
    cancelled
from numbered, origin
order by number
