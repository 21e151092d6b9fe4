-- One row a segment, with the number of its request and its parent's place, in order of request and start.
with numbered as (
    select
        host, instance, worker, request,
        row_number() over (order by arrived_s, host, instance, worker, request) - 1 as number
    from requests
    where coalesce(kind, 'request') = 'request' and not coalesce(exemplar, false)
        and lower(trim(route, '/')) not in ('health', 'healthz', 'livez', 'readyz', 'ping', 'up', 'status')
)
select
    numbered.number as request,
    segments.segment,
    coalesce(segments.parent, -1) as parent,
    segments.seam,
    segments.name,
    segments.start_s,
    segments.duration_s,
    segments.calls,
    coalesce(segments.code, '') as code,
    coalesce(segments.rows, -1) as rows
from segments
join numbered using (host, instance, worker, request)
order by numbered.number, segments.start_s, segments.duration_s desc, segments.segment
