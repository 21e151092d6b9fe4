"""
From the planner's cost to seconds: predicted before an index is built, measured after.
"""
