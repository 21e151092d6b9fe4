-- The processor time of each app process while there was traffic, by its pid.
with span as (
    select min(arrived_s) as began_s, max(arrived_s + duration_s) as ended_s from requests
)
select programs.host, programs.pid, sum(programs.cpu_s) as cpu_s, sum(programs.lasted_s) as looked_s
from programs, span
where programs.role = 'app' and programs.at_s > span.began_s and programs.at_s - programs.lasted_s < span.ended_s
group by programs.host, programs.pid
order by programs.host, programs.pid
