-- What segments are spent on and where in the code, each once, so that a segment names it by a number: millions of
-- them would otherwise each bring its texts.
, places as (
    select seam, name, code, row_number() over (order by seam, name, code) - 1 as place
    from (select distinct seam, name, coalesce(code, '') as code from segments) as each_place
)
