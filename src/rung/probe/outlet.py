"""
The ways out of the app's process: the collector's socket, or a folder where there is no collector.

A way out opens, writes whole frames and says of each whether it was taken; it never raises, and never holds the
sender up for longer than SEND_S_MAX.  What is not taken is dropped by the sender and counted.

In        RUNG_SOCKET, or RUNG_RAW with RUNG_RAW_BYTES_MAX, in the environment; frames
Out       bytes in a Unix socket; bytes in HOST-INSTANCE-PID-START.frames
Not here  what a frame holds (frames.py), when to send and to try again (sender.py), reading raw frames
          (adapters/collector/raw.py)
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, whose import takes longer than everything else here
if TYPE_CHECKING:  # what only the sender's thread needs is imported by the thread
    import socket
    from collections.abc import Mapping

SEND_S_MAX = 2.0
RAW_BYTES_MAX = 1024**3
NOTE_BYTES_MAX = 1024**2  # of a full folder, kept for saying who ran there and how much was dropped
NAME_PART_MAX = 60
SUFFIX = ".frames"


class SocketOutlet:
    """
    The collector's Unix socket.
    """

    notes = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._stream: socket.socket | None = None

    def open(self) -> bool:
        """
        Connect; return whether somebody listens.
        """
        import socket

        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(SEND_S_MAX)
        try:
            stream.connect(self._path)
        except OSError:
            stream.close()
            return False
        self._stream = stream
        return True

    def write(self, frame: bytes) -> bool:
        """
        Send a whole frame; a connection that did not take it is closed, for the reader may have half of it.
        """
        if self._stream is None:
            return False
        try:
            self._stream.sendall(frame)
        except OSError:
            self.close()
            return False
        return True

    def note(self, counts: bytes) -> None:
        """
        Nothing can be said while nobody listens; the counts come with the next connection.
        """

    def close(self) -> None:
        """
        Let go of the connection; in a forked child it is the parent's, which keeps it.
        """
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class FolderOutlet:
    """
    A file of this process's own in a folder, for where no collector runs.

    The file is locked (shared) while its process lives, which tells a reader that more may come.  A crash leaves a
    torn frame at its end, which readers leave out; a write that failed is cut off again.
    """

    notes = True

    def __init__(self, folder: str, bytes_max: int, *, instance: str) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._instance = instance
        self._file = -1
        self._end = 0
        self._full = False

    def open(self) -> bool:
        """
        Make this process's file, or go on with it after a write that failed.
        """
        if self._full:
            return False
        if self._file >= 0:
            return True
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._file = os.open(
                os.path.join(self._folder, self._name()), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
        except OSError:
            return False
        self._lock()
        return True

    def _name(self) -> str:
        import socket
        import time

        parts = (socket.gethostname(), self._instance or "0", str(os.getpid()), f"{time.time():.6f}")
        return "-".join(_plain(part) for part in parts) + SUFFIX

    def _lock(self) -> None:
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # a file system without locks: the file only looks finished before it is
            pass

    def write(self, frame: bytes) -> bool:
        """
        Append a whole frame; False where it would not fit, or the disk did not take it.
        """
        if self._file < 0 or self._full:
            return False
        # The first says who writes, which goes into a full folder too: its counts are worth nothing without.
        room_bytes = self._bytes_max + (0 if self._end else NOTE_BYTES_MAX)
        if self._held_bytes() + len(frame) > room_bytes:
            self._full = True
            return False
        if not self._put(frame):
            return False
        self._end += len(frame)
        return True

    def note(self, counts: bytes) -> None:
        """
        Say how much was dropped, over what was said last; this much fits in a full folder too.
        """
        if self._file >= 0 and self._end and self._held_bytes() < self._bytes_max + NOTE_BYTES_MAX:
            self._put(counts)

    def close(self) -> None:
        """
        Let go of the file; in a forked child it is the parent's, which keeps it.
        """
        file, self._file = self._file, -1
        if file >= 0:
            try:
                os.close(file)
            except OSError:
                pass

    def _put(self, frame: bytes) -> bool:
        try:
            written = os.pwrite(self._file, frame, self._end)
            if written == len(frame):
                os.ftruncate(self._file, self._end + written)
                return True
        except OSError:
            pass
        try:
            os.ftruncate(self._file, self._end)
        except OSError:
            pass
        return False

    def _held_bytes(self) -> int:
        held = 0
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    held += entry.stat().st_size
        except OSError:
            held = max(held, self._end)
        return held


def chosen(environ: Mapping[str, str]) -> SocketOutlet | FolderOutlet:
    """
    Return the way out that the environment names; it is asked for only where there is one.
    """
    folder = environ.get("RUNG_RAW")
    if not folder:
        return SocketOutlet(environ.get("RUNG_SOCKET", ""))
    try:
        bytes_max = int(environ.get("RUNG_RAW_BYTES_MAX") or RAW_BYTES_MAX)
    except ValueError:
        bytes_max = RAW_BYTES_MAX
    return FolderOutlet(folder, bytes_max, instance=environ.get("RUNG_INSTANCE", ""))


def _plain(part: str) -> str:
    # The parts of a name are joined by "-" and may hold it themselves: they are for people, the hello says who it is.
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._") else "_" for letter in part)
    return kept[:NAME_PART_MAX]
