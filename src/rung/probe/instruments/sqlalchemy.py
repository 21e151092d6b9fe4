"""
SQLAlchemy: waiting for its pool; the statements themselves are recorded at the driver.

In        sqlalchemy.pool.impl after its import
Out       segments pool
Not here  statements (the driver's instrument), pools that nobody waits for (NullPool, StaticPool)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType

from rung.probe.wrapping import around_call, named

# AsyncAdaptedQueuePool inherits it.
MODULES: Mapping[str, Callable[[ModuleType], None]] = {
    "sqlalchemy.pool.impl": lambda module: around_call(module.QueuePool, "_do_get", "pool", named("sqlalchemy")),
}
