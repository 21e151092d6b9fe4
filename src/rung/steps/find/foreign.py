"""
Say what traces that others recorded cannot show, before anything is concluded from them.

In        the Profile of a recording that was made from such traces
Out       up to three sentences; the reason why a move cannot be priced from them
Not here  notes on a recording of our own (notes.py), reading the files (adapters/foreign)

A trace knows when spans began and ended. It does not know what was computing and what waited for its turn, so time
inside of a request that no span covers is the app's own and no more than that; and how many cores, threads and
connections there are is not in it, so nothing can be said of more traffic.
"""

from __future__ import annotations

from rung.ports import Foreign
from rung.steps.measure import Profile
from rung.units import show_count, show_share

FORMS = {"otlp": "OpenTelemetry", "jaeger": "Jaeger"}
# What spans tell, in the order in which one would miss it.
TOLD_BY_SPANS = (("query", "statements"), ("external", "calls to other services"), ("cache", "caches"))
# Moves whose effect rests on what no span shows, and on what.
UNSEEN = {
    "pool": "who waits for a connection",
    "keepopen": "when a connection is opened",
    "workers": "who waits for a worker, and what the processor has left",
    "threads": "who waits for a thread",
    "instance": "who waits for a worker, and what the processor has left",
    "hotfunction": "what is computing",
}
OWN_SHARE_TOLD = 0.01
SAMPLED_BELOW = 0.999


def unseen_words(kind: str) -> str:
    """
    Return why a move of this kind has no price from such traces; "" where it can have one.
    """
    return f"these traces do not show {UNSEEN[kind]}" if kind in UNSEEN else ""


def notes_on_foreign(profile: Profile, foreign: Foreign) -> list[str]:
    """
    Return what these traces do not show, what of the time is the app's own, and what was not read as it stood.
    """
    missing = [name for seam, name in TOLD_BY_SPANS if seam not in foreign.seams]
    without = f" They have no spans of {' or '.join(missing)}." if missing else ""
    who = FORMS.get(foreign.form, foreign.form)
    unseen = "no waiting for a connection, a thread or the event loop, no queue before the app, and no processor"
    notes = [f"Traces of {who}: they show {unseen}.{without}"]
    own = float(profile.requests.other_s.sum() / max(profile.requests.latency_s.sum(), 1e-9))
    if own > OWN_SHARE_TOLD:
        notes.append(
            f"{show_share(own)} of the time is the app's own, which these traces do not take apart: computing, or "
            "waiting for what has no span."
        )
    told = "; ".join(_irregular(foreign))
    if told:
        notes.append(f"{told[:1].upper()}{told[1:]}.")
    return notes


def _irregular(foreign: Foreign) -> list[str]:
    told = []
    if foreign.kept_share < SAMPLED_BELOW:
        told.append(
            f"sampled: about {show_share(foreign.kept_share)} of the requests are here, so more came than is counted"
        )
    if foreign.unread:
        first = f" (first, {foreign.unread_first})" if foreign.unread_first else ""
        what = "span or line" if foreign.unread == 1 else "spans or lines"
        told.append(f"{show_count(foreign.unread)} {what} could not be read{first}")
    told += [
        f"{show_count(count)} {one if count == 1 else several}"
        for count, one, several in (
            (
                foreign.orphans,
                "span belongs to a request that is not here",
                "spans belong to requests that are not here",
            ),
            (foreign.shifted, "span was moved because clocks differ", "spans were moved because clocks differ"),
            (foreign.duplicates, "span was there twice", "spans were there twice"),
            (foreign.folded, "name with a number in it was folded", "names with numbers in them were folded"),
            (foreign.unworded, "statement has no text to be planned", "statements have no text to be planned"),
        )
        if count
    ]
    return told
