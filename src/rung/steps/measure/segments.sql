-- One row a segment, with the number of its request, its parent's and its place's, in order of request and start.
select
    kept.number as request,
    segments.segment,
    coalesce(segments.parent, -1) as parent,
    cast(places.place as integer) as place,
    segments.start_s,
    segments.duration_s,
    segments.calls,
    coalesce(segments.rows, -1) as rows
from segments
join kept using (host, instance, worker, request)
join places
    on places.seam = segments.seam and places.name = segments.name and places.code = coalesce(segments.code, '')
order by kept.number, segments.start_s, segments.duration_s desc, segments.segment
