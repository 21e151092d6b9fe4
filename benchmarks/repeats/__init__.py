"""
What recording each statement apart costs a sync Django page that asks many: 30 and 300 statements of one text.

Two processes hold the same page, one of them recording through the leanest path there is (the instrument of the
driver, a request begun by hand, rows thrown away).  They take turns in short bursts; what counts is the median of
the differences of CPU per page within a round.

In        --quick for a short round, --json for a document
Out       CPU per page bare and recorded, the share that recording adds
Not here  Django's own instrument, sending, the collector (benchmarks.overhead)
"""
