"""
The steps that decide, one file each; none opens a file, a socket or a connection.
"""
