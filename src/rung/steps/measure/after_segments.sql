-- One row a segment of what requests went on with after their response.
select
    kept.number as request,
    segments.seam,
    segments.name,
    segments.start_s,
    segments.duration_s,
    segments.calls
from requests as background
join kept
    on kept.host = background.host and kept.instance = background.instance and kept.worker = background.worker
    and kept.request = background.follows
join segments
    on segments.host = background.host and segments.instance = background.instance
    and segments.worker = background.worker and segments.request = background.request
where background.kind = 'background'
order by kept.number, segments.start_s, segments.duration_s desc, segments.segment
