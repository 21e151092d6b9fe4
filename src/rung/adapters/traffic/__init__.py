"""
Load: requests drawn from a plan, sent each when it is due, and what came of them.

In        a load file, a URL or a recording (replay.py), and the address of an app
Out       a Report
Not here  what the app did meanwhile (the recording says it)

replay.py and values.py are not among the names below: they need DuckDB and psycopg, which other load does without.
"""

from rung.adapters.traffic.load_file import read_plan, read_template
from rung.adapters.traffic.plan import Choice, Draw, Plan, Query, Recorded, Route, Template, origin_of, plan_of_url
from rung.adapters.traffic.report import Answers, Progress, Report, Served, Tally
from rung.adapters.traffic.schedule import Due, Schedule, schedule
from rung.adapters.traffic.sender import send

__all__ = [
    "Answers",
    "Choice",
    "Draw",
    "Due",
    "Plan",
    "Progress",
    "Query",
    "Recorded",
    "Report",
    "Route",
    "Schedule",
    "Served",
    "Tally",
    "Template",
    "origin_of",
    "plan_of_url",
    "read_plan",
    "read_template",
    "schedule",
    "send",
]
