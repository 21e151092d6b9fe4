"""
All groups of the shape suite.

In        nothing
Out       groups
Not here  the cases themselves (shop.py, joins.py, writes.py, partitions.py, peers.py)
"""

from __future__ import annotations

from tests.shapes import joins, partitions, peers, shop, writes

GROUPS = (shop.GROUP, joins.GROUP, writes.GROUP, partitions.GROUP, peers.GROUP)
