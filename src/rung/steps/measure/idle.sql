-- Transactions that were open and idle: what they had run last, over how long each was seen so, and from which program.
with known as (
    select database, query_id, max(statement) as statement, max(text) as text
    from statement_totals
    where statement_totals.statement is not null
    group by all
),
looks as (
    -- One transaction: a connection and when it began, to the second as far as looks tell.
    select
        database, pid, floor(at_s - transaction_s + 0.5) as began_s, at_s, query_id, application
    from activity
    where state like 'idle in transaction%' and transaction_s is not null
),
spells as (
    select
        database, pid, began_s, count(*) as looks, max(at_s) - min(at_s) as lasted_s,
        arg_max(query_id, at_s) as query_id, coalesce(max(application), '') as application
    from looks
    group by database, pid, began_s
)
select
    coalesce(known.statement, '') as statement,
    coalesce(known.text, '') as text,
    spells.application,
    count(*) as transactions,
    cast(sum(spells.looks) as bigint) as looks,
    max(spells.lasted_s) as longest_s
from spells
left join known using (database, query_id)
group by all
order by longest_s desc, looks desc, statement, text, application
