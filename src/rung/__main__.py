"""
`python -m rung`, and the command `rung`: they are the same.

In        argv
Out       the exit status
Not here  anything else (surfaces/cli.py)
"""

import sys


def main() -> int:
    """
    Run the command line; a Ctrl-C while it is still being imported ends it without a traceback too.
    """
    try:
        from rung.surfaces.cli import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("\nrung: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
