"""
Weigh the recorded statements for the index advisor: how often each runs, what it takes, how much that counts.

In        a Profile, the workload recovered from it, the route whose number is to fall
Out       Weighted statements, the bottleneck first, and the Part of each
Not here  advising (steps/advise), pricing what is advised (index.py)

A second of the database counts in full where the route whose number is to fall waits for it, and a tenth elsewhere:
other routes have their own goals, and use the same processors.
"""

from __future__ import annotations

import numpy as np

from rung.steps.advise import Weighted
from rung.steps.measure import Part, Profile
from rung.steps.twin import edit
from rung.steps.twin.workload import Op, Workload

ELSEWHERE = 0.1
STATEMENTS_MAX = 60  # those that weigh most; what writes is among them whatever it weighs


def weighed(
    profile: Profile, workload: Workload, bottleneck: Part, route: str, rate_per_s: float
) -> tuple[tuple[Weighted, ...], tuple[Part, ...]]:
    """
    Return the statements of the recording with their weights, *bottleneck* first, then the weightiest.

    Args:
        route: Whose number is to fall.
        rate_per_s: Requests a second of *workload*.
    """
    lasted_s = len(workload) / rate_per_s if rate_per_s > 0 else 1.0
    of_route = edit.on_route(workload, route)
    found = []
    for part in workload.parts:
        text = profile.texts.get(part.name)
        executed = edit.spent_on(workload, part, ops=(Op.EXECUTE,))
        if part.seam != bottleneck.seam or text is None or text.kind == "other" or not executed.any():
            continue
        all_s = float(workload.service_s[executed].sum())
        here_s = float(workload.service_s[executed & of_route].sum())
        weight = (here_s + ELSEWHERE * (all_s - here_s)) / all_s if all_s > 0 else ELSEWHERE
        count = int(np.count_nonzero(executed))
        weighted = Weighted(text.text, count / lasted_s, all_s / count, weight)
        found.append((part != bottleneck, text.kind == "read", -weight * all_s, part.name, weighted, part))
    found.sort(key=lambda each: each[:1] + each[2:4])
    # Those beyond are only of interest for what they write.
    kept = found[:STATEMENTS_MAX] + [each for each in found[STATEMENTS_MAX:] if not each[1]]
    return tuple(each[4] for each in kept), tuple(each[5] for each in kept)
