-- What requests went on with after their response: one row a unit of work, with the number of its request.
select
    kept.number as request,
    background.arrived_s - kept.arrived_s as start_s,
    background.duration_s,
    background.cpu_s
from requests as background
join kept
    on kept.host = background.host and kept.instance = background.instance and kept.worker = background.worker
    and kept.request = background.follows
where background.kind = 'background'
order by kept.number, start_s, background.duration_s, background.cpu_s, background.request
