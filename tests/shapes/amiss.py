"""
Cases in which our advice is not right yet, with what is wrong; one that comes right fails, so that the list shrinks.

In        nothing
Out       reasons by the name of a case
Not here  the cases
"""

from __future__ import annotations

AMISS: dict[str, str] = {}
