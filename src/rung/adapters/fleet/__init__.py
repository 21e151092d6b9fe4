"""
Recordings of many hosts under one prefix of an object store: written beside the app, read together.

In        recordings on a host's disk; the URL of a prefix
Out       objects that never change once they are there; one recording of all that lies within a span of time
Not here  what a recording is (steps/record.py), reading its rows (adapters/recordings.py)
"""
