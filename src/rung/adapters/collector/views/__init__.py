"""
Metrics, traces and logs, out of what the collector receives anyway: nothing of this runs in the app.

In        the frames and samples that a recording is made of
Out       an endpoint for Prometheus, and OTLP to a collector of OpenTelemetry's
Not here  what is recorded (steps/record.py), showing one trace in the terminal (steps/trace)
"""
