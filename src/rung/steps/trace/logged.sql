-- One row a logged line of the whole recording in order of time, with the unit of work that logged it where it is
-- known.
with keys as (
    select host, instance, worker, min(key) as key from processes group by host, instance, worker
)
select
    lines.host,
    lines.instance,
    lines.worker,
    coalesce(keys.key, '') as key,
    coalesce(lines.request, -1) as request,
    coalesce(lines.segment, -1) as segment,
    lines.at_s,
    lines.level,
    lines.logger,
    coalesce(lines.template, '') as template,
    lines.template is not null as known,
    coalesce(lines.code, '') as code,
    coalesce(lines.error, '') as error,
    case when units.route is null then '' else coalesce(units.kind, 'request') end as kind,
    coalesce(units.route, '') as route,
    coalesce(units.method, '') as method,
    coalesce(units.follows, -1) as follows,
    coalesce(units.trace, '') as trace
from lines
left join keys on keys.host = lines.host and keys.instance = lines.instance and keys.worker = lines.worker
left join requests as units
    on units.host = lines.host and units.instance = lines.instance and units.worker = lines.worker
    and units.request = lines.request
order by lines.at_s
