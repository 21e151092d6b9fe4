"""
Show what happened: the units of work of one trace with their segments and log lines, and lines by themselves.

units.py finds which traces are meant, traced.py gathers one with all that is known of it, ids.py works the ids out,
telling.py puts a log line into the names of OpenTelemetry's data model.
"""
