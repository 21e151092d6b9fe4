-- The texts of each place, in order of its number.
select seam, name, code
from places
order by place
