-- One row a route and duration of the requests that are counted and not among those kept; `failed` of them with a
-- status of 500 and above.  Jobs have no method; what was too much to be told apart has neither method nor route.
, binned as (
    select
        case when method = '' then route else method || ' ' || route end as route,
        status >= 500 as failed,
        unnest(cast(bins as double[][])) as bin
    from totals
    where (method <> '' or route = '(unmatched)')
        and lower(trim(route, '/')) not in ('health', 'healthz', 'livez', 'readyz', 'ping', 'up', 'status')
),
counted as (
    select route, failed, bin[1] as duration_s, bin[2] as requests from binned
    union all
    select method || ' ' || route, status >= 500, duration_s, 1
    from traffic
    anti join kept using (host, instance, worker, request)
)
select
    route,
    duration_s,
    cast(sum(counted.requests) as bigint) as requests,
    cast(coalesce(sum(counted.requests) filter (where counted.failed), 0) as bigint) as failed
from counted
group by route, duration_s
order by route, duration_s
