"""
How well the application twin tells what it was told: each module is run by itself.
"""
