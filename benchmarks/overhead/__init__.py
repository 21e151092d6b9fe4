"""
What a recorder costs the app: CPU, capacity, memory and bytes that rung and its peers add to the same app without them.

Each contender (contender.py) is a process of its own around a small FastAPI app or Django site on a real PostgreSQL, in
process or behind uvicorn or gunicorn.  It is asked in pairs with the bare app, in short bursts that take turns
(rounds.py); what counts is the median of the differences within a round.  Parts of a request are measured with stubs
for drivers (parts.py).  Peers come from a folder of their own (peers.py).

In        --quick for short rounds, --json for a document
Out       CPU seconds per request, share of bare's, requests/s, parts, memory, bytes on the socket, with quartiles
Not here  latency, the collector (benchmarks/collector), whether a recorder is right
"""
