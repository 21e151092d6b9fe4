"""
How well the twin reproduces what it was made from: every "before" recording of a gauntlet, run again.

In        a folder of the gauntlet's, with results and recordings; --json for a document
Out       by scenario and over all: how far percentiles by route, the use of resources and the waiting at them are from
          what was recorded, with the aims
Not here  making the recordings (benchmarks/gauntlet), whether a price comes true (the same)

Recorded use is what the recording itself shows: of cores what the collector counted by process; of event loops and
workers the processor time of each process; of sync workers and pools for how long they were held.  Waiting is that of
segments.  What was waited for less than WAIT_S_MIN a request is left out: a share of next to nothing says nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rung import __version__, clock, wire
from rung.adapters.shelf import RECORDINGS
from rung.steps.measure import QUEUE, Profile
from rung.steps.twin.blocks import excerpt_of
from rung.steps.twin.calibrate import calibrated
from rung.steps.twin.estate import estate_of
from rung.steps.twin.layout import APART, laid_out
from rung.steps.twin.outcome import Outcome
from rung.steps.twin.pieces import Pieces, pieces_of
from rung.steps.twin.recover import ROWS_MAX, Recovered, recover, transactions
from rung.steps.twin.service import trips
from rung.steps.twin.topology import UNLIMITED, Topology
from rung.steps.twin.workload import Op
from rung.units import show_seconds, show_share

FOLDER = Path(".rung") / "gauntlet"
# Requests of a route that a percentile is read from, and its aim.
PERCENTILES = {50: (20, 0.05), 90: (50, 0.08), 99: (200, 0.15)}
USE_AIM, WAIT_AIM = 0.05, 0.10
WAIT_S_MIN = 0.5e-3
USE, WAITING = "use", "waiting"


@dataclass(frozen=True, slots=True)
class Compared:
    """
    One figure of one scenario, as recorded and as simulated.

    Attributes:
        what: "p50", "p90", "p99", "use" or "waiting".
        of: The route, or the resource.
        recorded, simulated: Seconds; of use, shares of one.
    """

    what: str
    of: str
    recorded: float
    simulated: float

    @property
    def error(self) -> float:
        """
        By what share the simulated misses the recorded; of use, by how many hundredths of one.
        """
        return self.simulated - self.recorded if self.what == USE else self.simulated / self.recorded - 1


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.twin.replayed", description="The twin on its own recordings."
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"of the gauntlet; {FOLDER} without")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    begun_s = clock.now_s()
    rows = [row(asked.folder, name, recording) for name, recording in recordings(asked.folder)]
    if not rows:
        parser.error(f"no results of the gauntlet with recordings in {asked.folder}")
    told = {
        "benchmark": "twin.replayed", "rung": __version__, "date": clock.stamp(begun_s),
        "took": show_seconds(clock.now_s() - begun_s), "summary": summary(rows), "scenarios": rows,
    }  # fmt: skip
    print(json.dumps(told, indent=2) if asked.json else shown(told))


def recordings(folder: Path) -> Iterator[tuple[str, str]]:
    """
    Yield scenario and recording of each result in *folder* whose "before" recording is there.
    """
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text("utf-8"))
        recording = result.get("phases", {}).get("before", {}).get("recording")
        if recording and (folder / RECORDINGS / recording).is_dir():
            yield result["scenario"], recording


def row(folder: Path, scenario: str, recording: str) -> dict[str, Any]:
    """
    Return what the twin makes of one recording; what cannot be simulated is a result too.
    """
    told: dict[str, Any] = {"scenario": scenario, "recording": recording, "figures": []}
    print(scenario, file=sys.stderr, flush=True)
    try:
        with wire.workplace({"folder": "."}, database=None, folder=folder).loop() as loop:
            profile = loop.measure(recording)
        figures = compared(profile)
    except Exception as problem:  # the next one is to be looked at
        return {**told, "failed": f"{type(problem).__name__}: {problem}"}
    return {**told, "figures": [{**asdict(each), "error": each.error} for each in figures]}


def compared(profile: Profile) -> list[Compared]:
    """
    Return each figure of the recording beside that of its twin.
    """
    recovered = recover(profile)
    outcome = calibrated(profile, recovered).base
    excerpt = excerpt_of(profile).profile
    pieces = pieces_of(excerpt)
    return [
        *percentiles(profile, recovered, outcome),
        *cores(excerpt, pieces, recovered.topology, outcome),
        *processes(excerpt, pieces, recovered.topology, outcome),
        *waiting(excerpt, recovered, outcome),
    ]


def percentiles(profile: Profile, recovered: Recovered, outcome: Outcome) -> Iterator[Compared]:
    """
    Yield the percentiles of each route, over the same requests.
    """
    workload, recorded_s = outcome.workload, profile.requests.latency_s[recovered.request]
    for place, route in enumerate(workload.routes):
        ours = workload.counted & (workload.route == place)
        for percent, (requests_min, _) in PERCENTILES.items():
            if ours.sum() >= requests_min:
                was_s, is_s = (
                    float(np.percentile(each_s[ours], percent, method="inverted_cdf"))
                    for each_s in (recorded_s, outcome.latency_s)
                )
                yield Compared(f"p{percent}", route, was_s, is_s)


def cores(profile: Profile, pieces: Pieces, topology: Topology, outcome: Outcome) -> Iterator[Compared]:
    """
    Yield the use of each host's cores, with whatever else was busy on it in both.
    """
    known = laid_out(profile, pieces, estate_of(profile), trips(profile, pieces)).hosts
    usages = {usage.host: usage for usage in profile.beside.usages}
    apps = {worker.host for worker in topology.workers}
    for number, (host, before) in enumerate(zip(topology.hosts, known, strict=True)):
        usage = usages.get(host.name.removesuffix(APART))
        simulated = next((use for use in outcome.uses if (use.kind, use.name) == ("cores", host.name)), None)
        if usage is None or simulated is None:
            continue
        taken = usage.app * (number in apps) + usage.database * (number in topology.databases) + before.background
        is_taken = simulated.busy * (host.cores - host.background) + host.background
        yield Compared(USE, f"cores of {host.name}", min(taken / host.cores, 1.0), is_taken / host.cores)


def processes(profile: Profile, pieces: Pieces, topology: Topology, outcome: Outcome) -> Iterator[Compared]:
    """
    Yield the use of what each app process has: its loop or interpreter, the requests it takes at once, its pool.
    """
    requests, held = profile.requests, transactions(profile, pieces)
    span_s = max(profile.lasted_s, 1e-9)
    computed = _computed_s(profile)
    inside_s = requests.latency_s - requests.queue_s
    for number, worker in enumerate(topology.workers):
        ours = held.process == number
        shares = {
            "pool": float((held.end_s - held.start_s)[ours].sum()) / max(worker.pool, 1),
            "slots": float(inside_s[requests.process == number].sum()) / max(worker.slots, 1),
        }
        if worker.pool == UNLIMITED:
            del shares["pool"]
        if worker.slots == UNLIMITED:
            del shares["slots"]
        if computed[number] > 0:
            shares["lock of python" if worker.slots != UNLIMITED else "loop"] = computed[number]
        for use in outcome.uses:
            if use.name == str(number) and use.kind in shares:
                yield Compared(USE, f"{use.kind} of process {number}", min(shares[use.kind] / span_s, 1.0), use.busy)


def _computed_s(profile: Profile) -> list[float]:
    """
    Return the processor time of each app process over the excerpt, 0 where it was not counted.
    """
    share = profile.lasted_s / max(sum(usage.looked_s for usage in profile.beside.usages[:1]), 1e-9)
    found = []
    for name in profile.process_names:
        host, _, rest = name.partition("/")
        pid = rest.rpartition("/")[2]
        cpu_s = profile.beside.workers.get((host, int(pid)), 0.0) if pid.isdecimal() else 0.0
        found.append(cpu_s * min(share, 1.0))
    return found


def waiting(profile: Profile, recovered: Recovered, outcome: Outcome) -> Iterator[Compared]:
    """
    Yield the mean waiting of a request at each kind of resource.
    """
    requests = max(len(profile.requests), 1)
    workload = outcome.workload
    waited_s = {kind: float(profile.seconds_on_seam(kind).sum()) for kind in ("pool", "loop", "threads")}
    simulated_s = dict.fromkeys(("pool", "loop", "threads", "slots", "lock"), 0.0)
    for use in outcome.uses:
        kind = "loop" if use.kind == "lock of python" else use.kind
        if kind in simulated_s:
            simulated_s[kind] += use.visits * use.wait_s
    if any(worker.slots != UNLIMITED for worker in recovered.topology.workers):
        waited_s["slots"] = float(profile.requests.queue_s.sum())
        way = (workload.op == Op.DELAY) & (workload.part == workload.part_of(QUEUE))
        simulated_s["slots"] += float(workload.service_s[way].sum())
        del waited_s["loop"]  # a thread that waits for the interpreter is not told from one that computes
    taken = workload.which[workload.op == Op.LOCK] // ROWS_MAX * ROWS_MAX
    waited_s["lock"] = sum(int((taken == lock).sum()) * mean_s for lock, mean_s in recovered.lock_wait_s.items())
    for kind, seconds_s in waited_s.items():
        if seconds_s / requests >= WAIT_S_MIN:
            yield Compared(WAITING, kind, seconds_s / requests, simulated_s[kind] / requests)


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """
    Return the median error of each kind of figure over all scenarios, with its aim.
    """
    aims = {**{f"p{percent}": aim for percent, (_, aim) in PERCENTILES.items()}, USE: USE_AIM, WAITING: WAIT_AIM}
    found = {}
    for what, aim in aims.items():
        errors = [abs(each["error"]) for one in rows for each in one["figures"] if each["what"] == what]
        if errors:
            median = statistics.median(errors)
            found[what] = {
                "figures": len(errors), "median": median, "within": sum(error <= aim for error in errors),
                "aim": aim, "holds": median <= aim,
            }  # fmt: skip
    return found


def shown(told: Mapping[str, Any]) -> str:
    """
    Return a line for each scenario, its median error of each kind and the worst figure, and the medians over all.
    """
    kinds = (*(f"p{percent}" for percent in PERCENTILES), USE, WAITING)
    lines = [
        f"date {told['date']}, took {told['took']}, rung {told['rung']}, {len(told['scenarios'])} scenarios.",
        "",
        f"| scenario | {' | '.join(kinds)} | furthest off |",
        "|---|" + "--:|" * len(kinds) + "---|",
    ]
    for one in told["scenarios"]:
        if "failed" in one:
            lines.append(f"| {one['scenario']} |" + " – |" * len(kinds) + f" failed: {one['failed']} |")
            continue
        cells = []
        for kind in kinds:
            errors = [abs(each["error"]) for each in one["figures"] if each["what"] == kind]
            cells.append(show_share(statistics.median(errors)) if errors else "–")
        worst = max(one["figures"], key=lambda each: abs(each["error"]), default=None)
        told_worst = f"{worst['what']} {worst['of']} {worst['error']:+.0%}" if worst else "–"
        lines.append(f"| {one['scenario']} | {' | '.join(cells)} | {told_worst} |")
    lines.append("")
    lines += [
        f"{what}: median {each['median']:.1%} of {each['figures']} figures, {each['within']} of them within the aim of "
        f"{each['aim']:.0%}: {'holds' if each['holds'] else 'NO'}"
        for what, each in told["summary"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
