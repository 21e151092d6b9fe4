"""
What of a core each thing had while it ran: the time that it took, turned into service.

In        what ran on a host, from when to when, and the cores that there were for it
Out       service, seconds, of any interval
Not here  which things run where (estate.py)

Whatever runs has an equal share of the cores and nobody more than one, as in the simulation (simulate.py), so that
what is taken out here is what the simulation puts in again.
"""

from __future__ import annotations

import numpy as np

from rung.steps.measure import Floats


class Sharing:
    """
    The share of a core that one thing on a host had at any time, as its integral over time.
    """

    def __init__(self, start_s: Floats, end_s: Floats, weight: Floats, *, cores: float, beside: float = 0.0) -> None:
        """
        Take what ran: *weight* is the share of its interval in which it did, *beside* how much else ran all the time.
        """
        # What is taken out goes first where one thing ends as the other begins.
        at_s = np.concatenate([end_s, start_s])
        order = np.argsort(at_s, kind="stable")
        self._at_s = at_s[order]
        running = beside + np.cumsum(np.concatenate([-weight, weight])[order])
        rate = np.minimum(1.0, cores / np.maximum(running, 1.0))
        self._had_s = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(self._at_s))]) if len(order) else self._at_s

    def service_s(self, start_s: Floats, end_s: Floats) -> Floats:
        """
        Return the core time that one thing had between *start_s* and *end_s*.
        """
        if not len(self._at_s):
            return end_s - start_s
        begun_s, ended_s = (np.interp(at_s, self._at_s, self._had_s) for at_s in (start_s, end_s))
        had_s: Floats = ended_s - begun_s
        return had_s

    def shares(self, start_s: Floats, end_s: Floats) -> Floats:
        """
        Return the share of a core that one thing had, on average, between *start_s* and *end_s*, which differ.
        """
        share: Floats = np.clip(self.service_s(start_s, end_s) / (end_s - start_s), 0.0, 1.0)
        return share
