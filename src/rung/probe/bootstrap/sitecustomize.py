"""
Start the probe in every Python process below `rung record`, and get out of the way.

Python imports a module of this name at its start; the launcher puts this folder first on PYTHONPATH.  It runs in
whatever Python the command uses, so its syntax is plain, and nothing that goes wrong here may keep Python from
starting.

In        RUNG, RUNG_SOCKET or RUNG_RAW in the environment
Out       the probe running; the environment's own sitecustomize run as if this one were not there
Not here  PYTHONPATH, which stays as it is so that spawned workers are recorded too
"""
# ruff: noqa: INP001, UP031, UP036 - not a package, and read by Pythons older than rung's own

import os
import sys


def _start_probe() -> None:
    if os.environ.get("RUNG") == "off" or not (os.environ.get("RUNG_SOCKET") or os.environ.get("RUNG_RAW")):
        return
    problem = None
    if sys.version_info < (3, 11):
        problem = "rung needs Python 3.11 or newer"
    else:
        try:
            import importlib.util

            if importlib.util.find_spec("msgspec") is None:
                problem = "msgspec is not installed there; %s -m pip install rung" % sys.executable
            else:
                import rung.probe

                rung.probe.start()
        except ImportError:
            problem = "rung is not installed there; %s -m pip install rung" % sys.executable
        except Exception as error:
            problem = "%s: %s" % (type(error).__name__, error)
    if problem is not None and not os.environ.get("RUNG_SAID"):
        os.environ["RUNG_SAID"] = "1"  # once, not again in each of its children
        sys.stderr.write("rung: not recording %s: %s\n" % (sys.executable, problem))


def _run_next() -> None:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _start() -> None:
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
    try:
        _start_probe()
    except Exception as error:
        sys.stderr.write("rung: not recording %s: %s\n" % (sys.executable, error))
    # Last: what it raises is shown by Python itself, as it would be without rung.
    _run_next()


_start()
