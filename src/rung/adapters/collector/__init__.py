"""
The process beside the app that turns frames into a recording: `python -m rung.adapters.collector`.

In        frames on a private Unix socket; a pipe that closes when the recorded command and its children have ended
Out       a folder of Parquet files, sealed at the end
Not here  what runs inside the app (probe/), what a recording's rows are (steps/record.py)
"""
