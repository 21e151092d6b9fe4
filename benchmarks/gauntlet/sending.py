"""
The load, as a process of its own so that it can be niced.

`python -m benchmarks.gauntlet.sending SCENARIO URL SECONDS SPEED`

In        a scenario's name, the app's address, how long, how much faster than the scenario says
Out       JSON: what came of the requests, by route
Not here  what the app did meanwhile (the recording says it)
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmarks.gauntlet.scenarios import SCENARIOS
from rung.adapters.traffic import Plan, send

SEED = 5


def main() -> None:
    """
    Send, and say what came of it.
    """
    name, url, duration_s, speed = sys.argv[1:]
    scenario = SCENARIOS[name]
    report = send(url, Plan(scenario.routes, scenario.rate_per_s * float(speed), float(duration_s), SEED))
    told = {
        "void": report.void_reason,
        "problems": report.problems,
        "overall": asdict(report.overall),
        "routes": [asdict(tally) for tally in report.routes],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
