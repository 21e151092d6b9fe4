-- One row a unit of work in order of arrival, with the key of its process, from which the ids are worked out.
, keys as (
    select host, instance, worker, min(key) as key from processes group by host, instance, worker
)
select
    numbered.process,
    requests.host || '/' || requests.instance || '/' || requests.worker as who,
    coalesce(keys.key, '') as key,
    requests.request,
    coalesce(requests.kind, 'request') as kind,
    requests.route,
    requests.method,
    requests.status,
    requests.arrived_s,
    requests.queue_s,
    requests.duration_s,
    requests.cpu_s,
    coalesce(requests.cancelled, false) as cancelled,
    coalesce(requests.error, '') as error,
    coalesce(requests.follows, -1) as follows,
    coalesce(requests.exemplar, false) as exemplar,
    coalesce(requests.trace, '') as trace,
    coalesce(requests.caller, '') as caller
from requests
join numbered
    on numbered.host = requests.host and numbered.instance = requests.instance and numbered.worker = requests.worker
left join keys
    on keys.host = requests.host and keys.instance = requests.instance and keys.worker = requests.worker
order by requests.arrived_s, numbered.process, requests.request
