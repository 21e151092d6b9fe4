"""
What a recorder costs the app: CPU per request that rung and its peers add to the same app without them.

Each contender (contender.py) is a process of its own around one small FastAPI app on a real PostgreSQL.  The
processes live side by side and are asked one after the other, round by round in changing order; what counts is the
median of the differences to the bare app of the same round.  Peers come from a folder of their own (peers.py).

In        --quick for a short round, --json for a document
Out       CPU seconds per request, in process and behind uvicorn, with quartiles
Not here  latency, memory, whether a recorder is right
"""
