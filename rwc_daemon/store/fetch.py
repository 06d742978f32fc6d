"""One file from the web: resumed where it was cut, checked to the last byte, proxies respected (urllib reads them)."""

from __future__ import annotations

import fcntl
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rwc_daemon.errors import BadModel, Busy, Cancelled, NotReady, RwcError
from rwc_daemon.store.catalog import HOST_VARIABLE
from rwc_daemon.store.files import disk_error, private_folder, sha256_of
from rwc_daemon.store.importer import Cancel
from rwc_daemon.store.tensors import Progress

CHUNK = 1 << 18  # bytes
TIMEOUT_S = 30.0  # of silence
OFFLINE_VARIABLE = "RWC_OFFLINE"


def offline() -> bool:
    """Whether the user forbade the network."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() not in ("", "0", "no", "false")


def download(urls: Sequence[str], path: Path, size: int, sha256: str, progress: Progress, cancelled: Cancel) -> None:
    """Brings the file of `size` bytes to `path`; what is already there of it is kept. Tries `urls` in order.

    Raises NotReady (no network, no such file there), BadModel (not the bytes we know), Busy, Cancelled, BadState.
    """
    private_folder(path.parent)
    with _locked(path) as file:
        failure: RwcError = NotReady("no address to fetch from")
        for url in urls:
            try:
                return _bring(url, file, size, sha256, progress, cancelled)
            except (NotReady, BadModel) as error:
                failure = error
            except OSError as error:
                raise disk_error(path, error) from None
        raise failure


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise disk_error(path, error) from None
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{path.name} is being fetched already: wait for it") from None
        yield file


def _bring(url: str, file: BinaryIO, size: int, sha256: str, progress: Progress, cancelled: Cancel) -> None:
    kept = file.seek(0, os.SEEK_END)
    _resume(url, file, size, progress, cancelled)
    try:
        _verify(file, size, sha256, url)
    except BadModel:
        if not kept:
            raise
        # what was kept came from elsewhere; it is gone now, so once more from the start
        _resume(url, file, size, progress, cancelled)
        _verify(file, size, sha256, url)


def _resume(url: str, file: BinaryIO, size: int, progress: Progress, cancelled: Cancel) -> None:
    start = file.seek(0, os.SEEK_END)
    if start > size:
        start = file.seek(0)
        file.truncate()
    if start == size:
        return
    headers = {"Range": f"bytes={start}-", "User-Agent": "rwc-daemon"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - catalog.py lets http and https through alone
    for part in _parts(request, file, size):
        if cancelled():
            raise Cancelled("stopped; what was fetched is kept and the next fetch goes on from there")
        file.write(part)
        progress(min(1.0, file.tell() / size))
    file.flush()
    if file.tell() < size:
        raise NotReady(f"the connection to {url} was cut: run the same command again, it goes on where it stopped")


def _parts(request: urllib.request.Request, file: BinaryIO, size: int) -> Iterator[bytes]:
    """The body; network trouble becomes NotReady here, so that OSError outside means the disk."""
    try:
        # an opener of our own, because the shared one reads the proxies of its first use only
        with urllib.request.build_opener().open(request, timeout=TIMEOUT_S) as answer:
            _check_length(answer, file.tell() if answer.status == 206 else 0, size, request.full_url)
            if answer.status != 206:  # the server sends it all again
                file.seek(0)
                file.truncate()
            left = size - file.tell() + 1  # one byte more than wanted shows a wrong file
            while left > 0 and (part := _read(answer, min(CHUNK, left), request.full_url)):
                left -= len(part)
                yield part
    except urllib.error.HTTPError as error:
        raise NotReady(f"{request.full_url} answered {error.code} {error.reason}: {_way_out()}") from None
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise NotReady(f"{request.full_url} cannot be reached ({reason}): {_way_out()}") from None


def _check_length(answer: http.client.HTTPResponse, start: int, size: int, url: str) -> None:
    """A file of another length is refused before a byte of it is kept."""
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and start + int(length) != size:
        raise BadModel(f"{url} has {start + int(length)} bytes, the catalogue knows {size}: {_way_out()}")


def _read(answer: http.client.HTTPResponse, most: int, url: str) -> bytes:
    try:
        return answer.read(most)
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"the connection to {url} was cut ({error}): run the same command again, it goes on") from None


def _way_out() -> str:
    return (
        "check the network, set https_proxy or "
        f"{HOST_VARIABLE} (a mirror), or fetch the file elsewhere and use `rwcctl assets add PATH`"
    )


def _verify(file: BinaryIO, size: int, sha256: str, url: str) -> None:
    file.flush()
    found, length = sha256_of(file), os.fstat(file.fileno()).st_size
    if (length, found) == (size, sha256):
        os.fsync(file.fileno())
        return
    file.truncate(0)
    raise BadModel(
        f"{url} gave another file than the catalogue knows ({length} bytes, sha256 {found[:12]}…; wanted {size}, "
        f"{sha256[:12]}…): it was deleted; try again later or use `rwcctl assets add PATH` with a file you trust"
    )
