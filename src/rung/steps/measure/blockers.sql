-- Who was in the way of statements that waited for a lock: at the head of the queue, what those connections ran, or had
-- run last.  Who waits behind somebody who waits himself is counted for the one that all of them wait for.
with recursive known as (
    select database, query_id, max(statement) as statement, max(text) as text
    from statement_totals
    where statement_totals.statement is not null
    group by all
),
waiting as (
    select
        known.statement, activity.at_s, activity.pid, cast(unnest(string_split(activity.blocked_by, ',')) as integer) as blocker
    from activity
    join known using (database, query_id)
    where activity.state = 'active' and activity.wait_type = 'Lock' and activity.blocked_by <> ''
),
edges as (
    select at_s, pid, cast(unnest(string_split(blocked_by, ',')) as integer) as blocker
    from activity
    where wait_type = 'Lock' and blocked_by <> ''
),
chains as (
    select distinct statement, at_s, pid, blocker, 1 as depth from waiting
    union all
    -- Distinct on each level: who waits in a queue waits for everybody before him.
    select distinct chains.statement, chains.at_s, chains.pid, edges.blocker, chains.depth + 1
    from chains
    join edges on edges.at_s = chains.at_s and edges.pid = chains.blocker and edges.blocker <> chains.pid
    where chains.depth < 16
),
heads as (
    select distinct chains.statement, chains.at_s, chains.pid, chains.blocker
    from chains
    anti join edges on edges.at_s = chains.at_s and edges.pid = chains.blocker
)
select
    heads.statement,
    coalesce(known.text, '') as text,
    coalesce(activity.state, '') as state,
    count(*) as looks,
    coalesce(known.statement, '') as holder,
    coalesce(max(activity.application), '') as application
from heads
left join activity on activity.at_s = heads.at_s and activity.pid = heads.blocker
left join known on known.database = activity.database and known.query_id = activity.query_id
group by heads.statement, known.text, activity.state, known.statement
order by heads.statement, looks desc, text, state
