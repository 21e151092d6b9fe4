-- The text of each statement once, whichever process met it first.
select statement, min(text) as text, min(kind) as kind, min(coalesce(database, '')) as database
from statements
group by statement
order by statement
