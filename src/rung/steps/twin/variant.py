"""
What a move makes of the recorded app: one of its variants, ready to be priced.

In        nothing
Out       the values Variant, Setting and Patch
Not here  the moves themselves (moves/), what a variant is worth (price/)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rung.steps.measure import Profile
from rung.steps.twin.topology import Topology
from rung.steps.twin.workload import Workload

Place = TypeVar("Place")
Model = Callable[[Workload, Topology], tuple[Workload, Topology]]


@dataclass(frozen=True, slots=True)
class Setting:
    """
    What people set by hand: a line of their code or of the command that starts their app.

    Attributes:
        then: The line as it is to be.
        now: The line that stands for what was recorded; setting it is the undo.
    """

    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Patch:
    """
    A change of the user's code: which file, and the unified difference.
    """

    path: str
    diff: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Variant:
    """
    One way of taking a move.

    Attributes:
        name: Stable; it begins with the move's kind: "pool:20", "cache:GET /report(60s)".
        what: The same for people.
        cost: What it takes, in words; "–" for nothing.
        assumptions: Sentences that have to be true for the price to be.
        model: What it makes of the recorded traffic and of what that runs on.
        bounds: The same at the good and at the bad end of what is not known of it; empty where nothing is open.
        taken_as: "setting" or "patch" where rung takes it as one, "hand" where its hands are not built yet.
        setting: What is set then; None where that is not known, or it is no setting.
        patch: What is changed in the user's code then; None where that is not known.
        why_not_yet: Why it is not worth taking now, with the number that says so; "" where it may be.
    """

    name: str
    rung: int
    what: str
    cost: str
    assumptions: tuple[str, ...]
    taken_as: str
    model: Model
    bounds: tuple[Model, ...] = ()
    setting: Setting | None = None
    patch: Patch | None = None
    why_not_yet: str = ""


def set_in(profile: Profile, places: Mapping[str, str], *, then: object, now: object) -> Setting:
    """
    Return the setting with the values *then* and *now*, written as the recorded app's libraries have it.

    Args:
        places: By the library that an app imports, the line with {value}; the first that was imported decides, and
            "" is for all others.
    """
    line = imported_of(profile, places)
    return Setting(line.format(value=then), line.format(value=now))


def imported_of(profile: Profile, places: Mapping[str, Place]) -> Place:
    """
    Return what *places* have for the first of their libraries that the recorded app imported, else for "".
    """
    imported = {"", *(name for name, _ in profile.facts.libraries)}
    return next(place for library, place in places.items() if library in imported)


def unchanged(workload: Workload, topology: Topology) -> tuple[Workload, Topology]:
    """
    Return both as they are: the model of a variant that has nothing to change.
    """
    return workload, topology
