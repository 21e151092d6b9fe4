"""
How often `rung confirm` is wrong, and what it takes to see a change.
"""
