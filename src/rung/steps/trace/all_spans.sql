-- One row a segment of the whole recording: what its id is worked out from.
select numbered.process, segments.request, segments.segment
from segments
join numbered
    on numbered.host = segments.host and numbered.instance = segments.instance and numbered.worker = segments.worker
