"""
The whole loop through the commands, on a real app, a real database and real load.
"""
