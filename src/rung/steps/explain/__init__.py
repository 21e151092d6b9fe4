"""
Explain one statement: where the planner's cost or the measured time goes, and how well rows were expected.

tree.py reads a plan as PostgreSQL's EXPLAIN gives it, spent.py shares cost and time out over its nodes.  What would
change a plan is asked for in moves/remedies.py.
"""
