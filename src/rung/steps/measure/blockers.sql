-- Who was in the way of statements that waited for a lock: what those connections ran, or had run last.
with known as (
    select database, query_id, max(statement) as statement, max(text) as text
    from statement_totals
    where statement is not null
    group by all
),
waiting as (
    select
        known.statement, activity.at_s, unnest(string_split(activity.blocked_by, ',')) as blocker
    from activity
    join known using (database, query_id)
    where activity.state = 'active' and activity.wait_type = 'Lock' and activity.blocked_by <> ''
)
select
    waiting.statement,
    coalesce(known.text, '') as text,
    coalesce(activity.state, '') as state,
    count(*) as looks
from waiting
left join activity on activity.at_s = waiting.at_s and cast(activity.pid as varchar) = waiting.blocker
left join known on known.database = activity.database and known.query_id = activity.query_id
group by all
order by waiting.statement, looks desc, text, state
