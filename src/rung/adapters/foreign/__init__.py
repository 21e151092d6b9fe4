"""
Traces that somebody else's instrumentation recorded: files of OpenTelemetry and Jaeger, made a recording of ours.

In        files, folders, standard input
Out       a recording (converting.py)
Not here  what its figures mean (steps/measure), what they cannot show (steps/find/foreign.py)
"""
