-- One row a request in order of arrival.  The arrival is when the load balancer or the load took the
-- request, where that is known; else when the app did.  Time begins with the first arrival that is known,
-- so that a stray request before the load (somebody's browser) does not shift it.
, due as (
    select *, arrived_s - coalesce(queue_s, 0) as due_s from kept
),
origin as (
    select coalesce(min(due_s) filter (where queue_s is not null), min(due_s)) as began_s from due
)
select
    number,
    method || ' ' || route as route,
    host || '/' || instance || '/' || worker as process,
    due_s - began_s as due_s,
    arrived_s - began_s as arrived_s,
    coalesce(due.queue_s, 0) as queue_s,
    due.queue_s is not null as queue_known,
    duration_s,
    cpu_s,
    status,
    cancelled
from due, origin
order by number
