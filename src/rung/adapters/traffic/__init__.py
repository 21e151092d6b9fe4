"""
Load: requests drawn from a plan, sent each when it is due, and what came of them.

In        a load file or a URL, and the address of an app
Out       a Report
Not here  recorded traffic (adapters/recordings), what the app did meanwhile (the recording says it)
"""

from rung.adapters.traffic.load_file import read_plan
from rung.adapters.traffic.plan import Choice, Draw, Plan, Route, origin_of, plan_of_url
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
    "Report",
    "Route",
    "Schedule",
    "Served",
    "Tally",
    "origin_of",
    "plan_of_url",
    "read_plan",
    "schedule",
    "send",
]
