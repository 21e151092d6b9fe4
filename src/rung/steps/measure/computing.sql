-- How often which function and line was seen computing for a route; a look tells shares, not seconds.
select
    requests.method || ' ' || requests.route as route,
    coalesce(samples.code, '') as code,
    samples.function,
    count(*) as looks
from samples
join requests using (host, instance, worker, request)
where coalesce(requests.kind, 'request') = 'request' and not coalesce(requests.exemplar, false)
group by all
order by route, looks desc, code, samples.function
