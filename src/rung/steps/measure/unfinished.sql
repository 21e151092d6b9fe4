-- Requests that were still in flight when their process was last heard of, by where they waited.  One that ended
-- outside of a window is no row of `requests` either, but then its process was heard of later.
with heard as (
    select host, instance, worker, max(at_s) as until_s
    from (
        select host, instance, worker, arrived_s + duration_s as at_s from requests
        union all
        select host, instance, worker, seen_s from in_flight
        union all
        select host, instance, worker, at_s from samples
    ) as seen
    group by all
),
latest as (
    select *, row_number() over (partition by host, instance, worker, request order by seen_s desc) as place
    from in_flight
    where kind = 'request'
)
select
    latest.method || ' ' || latest.route as route,
    coalesce(latest.code, '') as code,
    coalesce(latest.function, '') as function,
    count(*) as requests,
    max(latest.seen_s - latest.arrived_s) as longest_s
from latest
join heard using (host, instance, worker)
anti join requests using (host, instance, worker, request)
where latest.place = 1 and latest.seen_s >= heard.until_s - 2.5
group by all
order by requests desc, longest_s desc, route, code, function
