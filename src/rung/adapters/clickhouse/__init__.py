"""
Work a profile out on ClickHouse, over the Parquet that DuckDB reads: for recordings that outgrow one machine.

In        the SQL of a step, as it is written for DuckDB; where a recording's objects lie
Out       columns as numpy arrays, equal to DuckDB's (sums of fractions but for their last digits)
Not here  what is asked (steps/), where the objects are (adapters/fleet)
"""
