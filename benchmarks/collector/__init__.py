"""
What the collector costs: `python -m benchmarks.collector`.
"""
