"""
`python -m rung`: the same as the command `rung`.

In        argv
Out       the exit status
Not here  anything (surfaces/cli.py)
"""

import sys

from rung.surfaces.cli import main

sys.exit(main())
