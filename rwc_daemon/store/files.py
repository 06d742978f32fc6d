"""Files that are there whole or not at all: atomic writes, private folders, staging that sweeps itself.

Whatever stops us (a crash, a full disk, a kill), a reader finds the old content or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rwc_daemon.errors import BadModel, BadState

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
STAGING = ".staging"
CHUNK = 4 << 20  # bytes read at once
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def disk_error(path: Path, error: OSError) -> BadState:
    """What to tell the user when `path` cannot be written."""
    if error.errno in FULL:
        return BadState(f"the disk is full: {path} was not written and nothing was changed; free some space")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BadState(f"{path} may not be written ({error.strerror}): check who owns the folder {path.parent}")
    return BadState(f"{path} cannot be written: {error.strerror or error}")


def private_folder(path: Path) -> Path:
    """Makes `path` with its parents, readable by the user alone. Raises BadState."""
    try:
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path, error) from None
    return path


def sync_folder(path: Path) -> None:
    """Makes the names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """`path` holds `data` afterwards, or what it held before. Raises BadState (disk full, no permission)."""
    private_folder(path.parent)
    partial = ""
    try:
        handle, partial = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        if partial:
            Path(partial).unlink(missing_ok=True)
        raise disk_error(path, error) from None


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """A private folder on the disk of `root`, gone afterwards; what a killed process left is swept first.

    A lock on the folder says that it is in use; the kernel drops it with the process, so nothing is swept alive.
    """
    home = private_folder(root / STAGING)
    sweep(home)
    try:
        folder = Path(tempfile.mkdtemp(prefix="import-", dir=home))
    except OSError as error:
        raise disk_error(home, error) from None
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def sweep(home: Path) -> None:
    """Removes the folders in `home` that no living process holds."""
    for folder in home.iterdir():
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)


def make_private(folder: Path) -> None:
    """Every file of a flat folder 0600, the folder 0700, all of it on the disk."""
    os.chmod(folder, PRIVATE_FOLDER)
    for path in folder.iterdir():
        os.chmod(path, PRIVATE_FILE)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def plain_file(path: Path) -> None:
    """Raises BadModel unless `path` is a file itself: no link, pipe or folder that a broken import left."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise BadModel("the import made something that is not a file: nothing was imported")


def sha256_of(file: BinaryIO) -> str:
    """Of the whole file."""
    digest, at = hashlib.sha256(), 0
    while part := os.pread(file.fileno(), CHUNK, at):
        digest.update(part)
        at += len(part)
    return digest.hexdigest()
