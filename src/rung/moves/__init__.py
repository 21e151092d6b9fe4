"""
The moves: one file each, with everything about it; adding a move is adding a file and a page of docs.
"""
