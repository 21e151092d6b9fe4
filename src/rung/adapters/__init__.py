"""
What knows a third party by name.
"""
