-- How often each statement was seen executing, how often it waited for a lock while it was, and how many connections
-- waited for one at once.
with known as (
    select database, query_id, max(statement) as statement
    from statement_totals
    where statement_totals.statement is not null
    group by all
),
queues as (
    select at_s, database, count(*) as waiting from activity where state = 'active' and wait_type = 'Lock' group by all
)
select
    known.statement,
    count(*) as looks,
    count(*) filter (where activity.wait_type = 'Lock') as waiting,
    coalesce(max(queues.waiting) filter (where activity.wait_type = 'Lock'), 0) as at_once
from activity
join known using (database, query_id)
left join queues on queues.at_s = activity.at_s and queues.database = activity.database
where activity.state = 'active'
group by known.statement
order by known.statement
