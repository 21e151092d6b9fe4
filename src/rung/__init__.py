"""
rung: measure, name the one bottleneck, price the cheapest move that removes it, take it, confirm, repeat.

A recording of an app's traffic becomes a profile; the profile has one bottleneck; the moves past it
have prices; a move that is taken becomes a change; a second recording tells whether the number moved;
the ledger keeps all of it.  Start reading at ``loop.py``.
"""

__version__ = "0.1.0"
