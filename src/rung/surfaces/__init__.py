"""
Where values become words: the command line, its texts, its JSON.  No arithmetic and no SQL here.
"""
