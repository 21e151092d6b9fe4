"""
What a database would do: today's plans from itself, what-if from a planner twin.

The twin is a PostgreSQL 18 of our own with the tables' definitions and statistics but none of their
rows: files are grown, sparsely, to the real number of pages, so that its planner sees what the real
one sees.  Nothing is created on the user's server, and where somebody made a dump with the script of
dumped.py, it is not even asked.

In        a DSN that may read the catalog, or a folder with a dump
Out       answers to Server, Explain, Describe, WhatIf, Costs, or Unavailable with the reason
Not here  which index to ask about (moves/index.py), building one (hands.py)

Column statistics hold users' values: they stay in the twin's folder, which is private and deleted with it.
"""

from rung.adapters.planner.database import DatabasePlanner

__all__ = ["DatabasePlanner"]
