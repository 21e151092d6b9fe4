-- Processes by number, so that some of their requests can be asked for by numbers alone.
with numbered as (
    select host, instance, worker, row_number() over (order by host, instance, worker) as process
    from (select distinct host, instance, worker from requests) as reporting
)
