-- How many cores each host has, and how many of them were busy, and with what, while there was traffic.
-- What is niced steps aside for the rest, so it is not counted as busy.
with span as (
    select min(arrived_s) as began_s, max(arrived_s + duration_s) as ended_s from requests
),
room as (
    select
        hosts.host,
        sum(hosts.lasted_s) as looked_s,
        sum(hosts.lasted_s * least(hosts.cores, coalesce(hosts.cores_allowed, hosts.cores))) as allowed_s,
        sum(hosts.lasted_s * hosts.cores) as cores_s,
        sum(greatest(hosts.busy_s - coalesce(hosts.niced_s, 0), 0)) as busy_s
    from hosts, span
    where hosts.at_s > span.began_s and hosts.at_s - hosts.lasted_s < span.ended_s
    group by hosts.host
),
taken as (
    select
        programs.host,
        sum(programs.cpu_s) filter (where programs.role = 'app') as app_s,
        sum(programs.cpu_s) filter (where programs.role = 'database') as database_s,
        sum(programs.cpu_s) filter (
            where programs.role in ('load', 'collector') and coalesce(programs.nice, 0) <= 0
        ) as tools_s,
        string_agg(distinct programs.processors, ',') filter (where programs.role = 'app') as app_processors,
        string_agg(distinct programs.processors, ',') filter (where programs.role = 'database') as database_processors
    from programs, span
    where programs.at_s > span.began_s and programs.at_s - programs.lasted_s < span.ended_s
    group by programs.host
)
select
    room.host,
    room.looked_s,
    room.allowed_s / room.looked_s as cores,
    room.cores_s / room.looked_s as cores_all,
    coalesce(room.busy_s, 0) / room.looked_s as busy,
    coalesce(taken.app_s, 0) / room.looked_s as app,
    coalesce(taken.database_s, 0) / room.looked_s as database,
    coalesce(taken.tools_s, 0) / room.looked_s as tools,
    coalesce(taken.app_processors, '') as app_processors,
    coalesce(taken.database_processors, '') as database_processors
from room
left join taken using (host)
where room.looked_s > 0 and room.allowed_s > 0
order by room.host
