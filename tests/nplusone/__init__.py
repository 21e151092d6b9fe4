"""
Apps that ask one by one, with their fixed twins, and loops that are for other reasons.
"""
