-- One row a segment of the chosen units, in order of unit and start, the outer ones first.
, chosen (process, request) as (values {chosen}),
texts as (
    select statement, min(text) as text from statements group by statement
)
select
    numbered.process,
    segments.request,
    segments.segment,
    coalesce(segments.parent, -1) as parent,
    segments.seam,
    segments.name,
    coalesce(texts.text, '') as statement,
    coalesce(segments.code, '') as code,
    coalesce(segments.database, '') as database,
    segments.start_s,
    segments.duration_s,
    segments.calls,
    coalesce(segments.rows, -1) as rows
from segments
join numbered
    on numbered.host = segments.host and numbered.instance = segments.instance and numbered.worker = segments.worker
join chosen on chosen.process = numbered.process and chosen.request = segments.request
left join texts on texts.statement = segments.name
order by numbered.process, segments.request, segments.start_s, segments.duration_s desc, segments.segment
