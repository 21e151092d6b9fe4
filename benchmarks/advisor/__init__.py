"""
Index advisors on TPC-H, judged by indexes that are really built and times that are measured; and the planner twin.
"""
