"""
The application twin: the recorded traffic, run again in simulation, as it was or as it could be.

Start reading at workload.py (what is run) and topology.py (what on); simulate.py runs it; recover.py makes both out
of a Profile, and calibrate.py says how far the twin reproduces its own recording before anybody believes it.

In        a Profile
Out       Workload, Topology, Outcome
Not here  which questions to ask of it (find/, price/), what a move changes (moves/)
"""
