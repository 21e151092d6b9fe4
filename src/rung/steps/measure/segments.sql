-- One row a segment, with the number of its request and its parent's place, in order of request and start.
select
    kept.number as request,
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
join kept using (host, instance, worker, request)
order by kept.number, segments.start_s, segments.duration_s desc, segments.segment
