-- What of each host's cores the load and the collector took while there was traffic, and what other guests of the
-- machine took away.  A container may use only some of the cores, which is what its own programs are held against.
with span as (
    select min(arrived_s) as began_s, max(arrived_s + duration_s) as ended_s from requests
),
room as (
    select
        hosts.host,
        sum(hosts.lasted_s) as looked_s,
        sum(hosts.lasted_s * hosts.cores) as cores_s,
        sum(hosts.lasted_s * least(hosts.cores, coalesce(hosts.cores_allowed, hosts.cores))) as allowed_s,
        sum(hosts.steal_s) as steal_s
    from hosts, span
    where hosts.at_s > span.began_s and hosts.at_s - hosts.lasted_s < span.ended_s
    group by hosts.host
),
taken as (
    select
        programs.host,
        sum(programs.cpu_s) filter (where programs.role = 'load') as load_s,
        sum(programs.cpu_s) filter (where programs.role = 'collector') as collector_s
    from programs, span
    where programs.at_s > span.began_s and programs.at_s - programs.lasted_s < span.ended_s
    group by programs.host
)
select
    room.host,
    room.looked_s,
    coalesce(taken.load_s, 0) / room.allowed_s as load_share,
    coalesce(taken.collector_s, 0) / room.allowed_s as collector_share,
    coalesce(room.steal_s, 0) / room.cores_s as steal_share
from room
left join taken using (host)
where room.allowed_s > 0
order by room.host
