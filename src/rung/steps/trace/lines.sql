-- One row a line that one of the chosen units logged, in order of time.
, chosen (process, request) as (values {chosen})
select
    numbered.process,
    lines.request,
    coalesce(lines.segment, -1) as segment,
    lines.at_s,
    lines.level,
    lines.logger,
    coalesce(lines.template, '') as template,
    lines.template is not null as known,
    coalesce(lines.code, '') as code,
    coalesce(lines.error, '') as error
from lines
join numbered
    on numbered.host = lines.host and numbered.instance = lines.instance and numbered.worker = lines.worker
join chosen on chosen.process = numbered.process and chosen.request = lines.request
order by lines.at_s
