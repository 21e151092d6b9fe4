"""
`rung pack`: one file of a recording, to carry from where it was made to where it is looked at.

In        the flags
Out       the file; what it holds, in words or JSON; an exit status
Not here  packing (adapters/packing.py)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rung import wire
from rung.errors import UsageError
from rung.surfaces.shapes import document
from rung.surfaces.terminal import EXIT_ANSWERED, print_json
from rung.units import show_bytes


def pack(arguments: argparse.Namespace) -> int:
    """
    Write the file and say what it holds.
    """
    from rung.adapters import packing

    work = wire.workplace({}, database=None, asks=False)
    streamed = arguments.output == "-"
    if streamed and (arguments.json or sys.stdout.isatty()):
        raise UsageError(
            "standard output takes one thing: the file, and nobody reads that from a terminal",
            why="Nothing was packed.",
            steps=(("Name a file", "rung pack -o shop.rung"),),
        )
    sources = packing.sources_of(work.data, arguments.recording)
    # Several get the name of the file that they become; one keeps its own.
    name = Path(arguments.output).stem if arguments.output and not streamed and len(sources) > 1 else None
    name = name or ("packed" if len(sources) > 1 else None)
    if streamed:
        packing.pack(work.data, sources, sys.stdout.buffer, name=name)
        return EXIT_ANSWERED
    out = Path(arguments.output) if arguments.output else Path(f"{sources[0].resolve().name}{packing.SUFFIX}")
    if out.is_dir():
        out /= f"{sources[0].resolve().name}{packing.SUFFIX}"
    packed = packing.pack(work.data, sources, out, name=name)
    if arguments.json:
        content = {
            "file": str(out),
            "name": packed.name,
            "sources": list(packed.sources),
            "raw": packed.raw,
            "file_bytes": packed.file_bytes,
        }
        print_json(document("pack", content))
    else:
        kind = "raw frames" if packed.raw else "recording"
        print(f"Packed   {', '.join(packed.sources)} ({kind})")
        print(f"File     {out} ({show_bytes(packed.file_bytes)})\n\n  Next  rung find {out}")
    return EXIT_ANSWERED
