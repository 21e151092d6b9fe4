"""
Figures, each made by a command: `python -m benchmarks.NAME [--json] [--quick]`.
"""
