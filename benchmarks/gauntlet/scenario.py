"""
What a scenario is: an app with a fault, the traffic that shows it, the true answer, and the true fix.

In        nothing
Out       the values Scenario, Culprit, Fix, and the loads that each gets (Take)
Not here  the scenarios themselves (scenarios.py), running one (stage.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rung.adapters.traffic import Route


@dataclass(frozen=True, slots=True)
class Culprit:
    """
    What may be named first: a seam, and a text that its name, statement or line of code has in it ("": any).
    """

    seam: str
    has: str = ""

    def is_met_by(self, seam: str, *texts: str) -> bool:
        """
        Return whether what was named is this one.

        >>> Culprit("query", "orders").is_met_by("query", "3f2a", "SELECT id FROM orders", "")
        True
        """
        return seam == self.seam and (not self.has or any(self.has.lower() in text.lower() for text in texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """
    A change that is taken and measured.

    Attributes:
        faults: Those that stay in.
        settings: Of the app, instead of or beside the scenario's.
        server: Another command to serve it, "" for the same.
        sql: Run in the database before the app starts again.
        moves: Beginnings of the names of moves whose price is this fix's; () where none is.
        takes_away: Where none is, what the fix takes away; None for what find names.
        leaves_s: What it leaves of each call of that; of computing, a wait that is in nobody's way.
        rival: Whether it is another move than the true one.
    """

    faults: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    server: str = ""
    sql: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    takes_away: Culprit | None = None
    leaves_s: float = 0.0
    rival: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One app under one load.

    Attributes:
        server: A key of SERVERS.
        faults: Switched on in the app.
        settings: Of the app, as environment variables.
        sql: Laid on top of the tables: faults of the database.
        goal_s: Target of the 95th percentile, on each route.
        headroom: That find asks for.
        truth: Any of these may be named first; () for a healthy app: nothing may be.
        fix: None for a healthy app.
        rival: Another move, that is priced and measured beside the true one: which is better?
    """

    name: str
    server: str
    routes: tuple[Route, ...]
    rate_per_s: float
    goal_s: float
    headroom: float = 1.0
    faults: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    sql: tuple[str, ...] = ()
    truth: tuple[Culprit, ...] = ()
    fix: Fix | None = None
    rival: Fix | None = None

    @property
    def sync(self) -> bool:
        """
        Whether its requests are served by threads or processes that wait.
        """
        return not self.server.startswith("uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """
    One load of a scenario's app.

    Attributes:
        name: "before" for the one that find sees; the others are what its prices are held against.
        fix: What is changed before it.
        speed: Its traffic, as a multiple of the scenario's.
    """

    name: str
    fix: Fix | None = None
    speed: float = 1.0


BEFORE = "before"
SLOWER = 0.6


def takes(scenario: Scenario, *, second_load: bool = True) -> tuple[Take, ...]:
    """
    Return the loads of *scenario*, in order: what the true fix does to the database comes last.
    """
    before = Take(name=BEFORE)
    if scenario.fix is None:
        return before, Take(name="slower", speed=SLOWER)
    rival = (Take(name="rival", fix=scenario.rival),) if scenario.rival is not None else ()
    fixed = Take(name="after", fix=scenario.fix)
    # What the fix does to the database is done by then.
    slower = Take(name="after, slower", fix=replace(scenario.fix, sql=()), speed=SLOWER)
    return (before, *rival, fixed, slower) if second_load else (before, *rival, fixed)


# Words after the interpreter; {port} is filled in.
_UVICORN = "-m uvicorn benchmarks.gauntlet.fastapi_app:app --host 127.0.0.1 --port {port} --no-access-log"
_GUNICORN = "-m gunicorn --bind 127.0.0.1:{port} --log-level error"
_FLASK, _DJANGO = "benchmarks.gauntlet.flask_app:app", "benchmarks.gauntlet.django_app:app"
SERVERS = {
    "uvicorn": f"{_UVICORN} --log-level warning",
    "uvicorn, 2 workers": f"{_UVICORN} --log-level warning --workers 2",
    "flask, 2 threads": f"{_GUNICORN} --worker-class gthread --threads 2 {_FLASK}",
    "flask, 4 threads": f"{_GUNICORN} --worker-class gthread --threads 4 {_FLASK}",
    "flask, 8 threads": f"{_GUNICORN} --worker-class gthread --threads 8 {_FLASK}",
    "flask, 2 workers of 2 threads": f"{_GUNICORN} --worker-class gthread --workers 2 --threads 2 {_FLASK}",
    "flask, 2 workers of 16 threads": f"{_GUNICORN} --worker-class gthread --workers 2 --threads 16 {_FLASK}",
    "flask, 16 threads": f"{_GUNICORN} --worker-class gthread --threads 16 {_FLASK}",
    "flask, 1 worker": f"{_GUNICORN} --worker-class sync --workers 1 {_FLASK}",
    "flask, 4 workers": f"{_GUNICORN} --worker-class sync --workers 4 {_FLASK}",
    "django, 2 workers": f"{_GUNICORN} --worker-class sync --workers 2 {_DJANGO}",
}
