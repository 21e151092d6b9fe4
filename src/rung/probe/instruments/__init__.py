"""
One file for each framework or driver; each maps names of modules to what is done to them after their import.
"""
