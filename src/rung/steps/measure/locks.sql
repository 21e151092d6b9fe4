-- How often each statement was seen executing, and how often it waited for a lock while it was.
with known as (
    select database, query_id, max(statement) as statement
    from statement_totals
    where statement is not null
    group by all
)
select
    known.statement,
    count(*) as looks,
    count(*) filter (where activity.wait_type = 'Lock') as waiting
from activity
join known using (database, query_id)
where activity.state = 'active'
group by known.statement
order by known.statement
