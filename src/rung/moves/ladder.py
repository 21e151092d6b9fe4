"""
The ladder: all moves that there are, cheapest first.

In        nothing
Out       LADDER, in the order in which rungs are climbed
Not here  what any of them does (one file each), in which order quotes are shown (steps/price)
"""

from __future__ import annotations

from rung.moves.background import BackgroundMove
from rung.moves.cache import CacheMove
from rung.moves.hotfunction import HotFunctionMove
from rung.moves.index import IndexMove
from rung.moves.index_drop import IndexDropMove
from rung.moves.instance import InstanceMove
from rung.moves.keepopen import KeepOpenMove
from rung.moves.nplusone import NPlusOneMove
from rung.moves.offering import Offering
from rung.moves.pool import PoolMove
from rung.moves.statistics import StatisticsMove
from rung.moves.workers import ThreadsMove, WorkersMove
from rung.steps.price.quote import Move

LADDER: tuple[Move, ...] = (
    StatisticsMove(),
    IndexMove(),
    IndexDropMove(),
    Offering(NPlusOneMove(), at_bottleneck=True),
    Offering(CacheMove(), at_bottleneck=True),
    Offering(BackgroundMove(), at_bottleneck=True),
    Offering(PoolMove()),
    Offering(KeepOpenMove()),
    Offering(WorkersMove()),
    Offering(ThreadsMove()),
    Offering(HotFunctionMove(), at_bottleneck=True),
    Offering(InstanceMove()),
)
