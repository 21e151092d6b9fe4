"""
Start the recorder that PEER names, then whatever Python would have started: a company's own sitecustomize.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _start(peer):
    if peer == "sentry":
        import sentry_sdk
        from sentry_sdk.integrations.asyncpg import AsyncPGIntegration

        sentry_sdk.init(traces_sample_rate=1.0, integrations=[AsyncPGIntegration()])  # DSN from the environment
    elif peer == "opentelemetry":
        from opentelemetry.instrumentation.auto_instrumentation import initialize

        initialize(swallow_exceptions=False)
    elif peer == "newrelic":
        import newrelic.agent

        newrelic.agent.initialize()
    elif peer == "ddtrace":
        import ddtrace.auto  # noqa: F401 - starts it


def _run_next():
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None:
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


_start(os.environ["PEER"])
_run_next()
