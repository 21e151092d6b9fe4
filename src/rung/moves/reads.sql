-- Which reads were of the same thing, and whether what they gave had changed: one row a digest, in order of time.
-- A process that kept fewer keys towards its end (deeper) has them of a smaller share of all; so that every process has
-- all reads of the same keys for all time, only those of the deepest are taken.
, deepest as (
    select coalesce(max(cast('0' || regexp_extract(counts, '"depth": ?([0-9]+)', 1) as bigint)), 0) as depth
    from processes
)
select
    kept.number as request,
    case when reads.segment is null then '' else coalesce(segments.seam, 'other') end as seam,
    case when reads.segment is null then '' else coalesce(segments.name, '') end as name,
    reads.key,
    reads.result is not null as known,
    coalesce(reads.result, 0) as result,
    kept.arrived_s + coalesce(segments.start_s, 0) as at_s,
    deepest.depth
from reads
join kept using (host, instance, worker, request)
left join segments using (host, instance, worker, request, segment)
cross join deepest
where reads.depth >= deepest.depth
order by at_s, kept.number, reads.segment, reads.key, result
