"""The parent's side of an import: opens the files, starts the child, watches it, believes nothing it did unchecked."""

from __future__ import annotations

import json
import os
import selectors
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import rwc_daemon
from rwc_daemon.errors import BadModel, Cancelled, by_code
from rwc_daemon.store.confine import Limits
from rwc_daemon.store.tensors import Progress

Cancel = Callable[[], bool]
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".index", ".zip")
MOST_FILES, MOST_ENTRIES, MOST_FOLDERS_DEEP = 100, 5000, 6
MOST_SIZE = 4 << 30  # bytes of one file
MOST_WORDS = 4 << 20  # bytes that a child may say
LIMIT_S = 600.0
LOOK_S = 0.05  # how often we ask whether to stop


@dataclass(frozen=True)
class Opened:
    """A file of the user, open for reading."""

    fd: int
    name: str
    folder: str
    named: bool
    """The user named it, and not only a folder with it."""


@dataclass
class Answer:
    """What the child said at the end."""

    done: dict[str, Any] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    """Files of a folder or zip that were no use, and why."""
    missing: list[str] = field(default_factory=list)
    """Layers of confinement that this kernel lacks."""


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[Opened]]:
    """The files of `paths`, folders walked; closed afterwards. Raises BadModel."""
    files: list[Opened] = []
    try:
        for path in paths:
            if path.is_dir():
                files += [_open(one, str(one.parent.relative_to(path.parent)), False) for one in _models_in(path)]
            else:
                files.append(_open(path, "", True))
        if not files:
            raise BadModel("nothing to import: name a .pth, .safetensors, .onnx, .index, folder or zip")
        if len(files) > MOST_FILES:
            raise BadModel(f"{len(files)} files at once are too many: import at most {MOST_FILES} at a time")
        yield files
    finally:
        for file in files:
            os.close(file.fd)


def _models_in(folder: Path) -> list[Path]:
    found: list[Path] = []
    entries = 0
    for place, folders, names in os.walk(folder):
        entries += len(names) + len(folders)
        if entries > MOST_ENTRIES:
            raise BadModel(f"{folder} holds more than {MOST_ENTRIES} files: name the voice's own folder")
        if len(Path(place).relative_to(folder).parts) >= MOST_FOLDERS_DEEP:
            folders.clear()
        found += [Path(place) / name for name in sorted(names) if name.lower().endswith(SUFFIXES)]
    if not found:
        raise BadModel(f"{folder} holds no .pth, .safetensors, .onnx, .index or .zip: name the voice's own folder")
    return found[: MOST_FILES + 1]


def _open(path: Path, folder: str, named: bool) -> Opened:
    try:
        # without O_NONBLOCK a named pipe would hold us for ever
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BadModel(f"{path} cannot be opened ({error.strerror}): check the path") from None
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > MOST_SIZE:
        os.close(fd)
        what = "is larger than any voice" if stat.S_ISREG(facts.st_mode) else "is not a file"
        raise BadModel(f"{path} {what}: name a .pth, .safetensors, .onnx, .index, folder or zip")
    return Opened(fd, path.name, folder, named)


def run(
    task: str,
    files: Sequence[Opened],
    staging: Path,
    name: str | None = None,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
    limits: Limits | None = None,
    limit_s: float = LIMIT_S,
) -> Answer:
    """Lets a confined child do `task` ("voices" or "asset") in `staging`.

    Raises what the child found wrong, BadModel where it died or took too long, and Cancelled.
    """
    request = {
        "task": task,
        "files": [asdict(file) for file in files],
        "staging": str(staging),
        "name": name,
        "limits": asdict(limits or Limits()),
    }
    with (staging / "child.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "rwc_daemon.store.isolated"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            pass_fds=[file.fd for file in files], env=_environment(), cwd=staging, start_new_session=True,
        )  # fmt: skip
    try:
        return _watch(child, request, progress or _quiet, cancelled or _never, time.monotonic() + limit_s)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _quiet(share: float) -> None:
    pass


def _never() -> bool:
    return False


def _environment() -> dict[str, str]:
    """Nothing of the user's; one thread per library, because the child may not make any."""
    home = str(Path(rwc_daemon.__file__).resolve().parent.parent)
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    return {"PYTHONPATH": home, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"} | threads


def _watch(
    child: subprocess.Popen[bytes], request: dict[str, Any], progress: Progress, cancelled: Cancel, until: float
) -> Answer:
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(request).encode())
        child.stdin.close()
    except BrokenPipeError:
        pass  # it died; `_lines` ends at once and says so
    answer = Answer()
    for line in _lines(child, cancelled, until):
        event = _event(line)
        if "progress" in event:
            progress(float(event["progress"]))
        elif "skipped" in event:
            answer.skipped.append(str(event["skipped"]))
        elif "missing" in event:
            answer.missing = list(event["missing"])
        elif "error" in event:
            raise by_code(str(event["error"]))(str(event["message"]))
        elif "done" in event:
            answer.done = event["done"]
    if not answer.done:
        raise BadModel(_last_words(child.wait()))
    progress(1.0)
    return answer


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise BadModel("the import broke down: the file is damaged; get it again")
    return event


def _last_words(status: int) -> str:
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        return "the import took more time or memory than any voice needs: the file is damaged; get it again"
    return f"the import broke down (status {status}): the file is damaged; get it again"


def _lines(child: subprocess.Popen[bytes], cancelled: Cancel, until: float) -> Iterator[bytes]:
    """Lines of the child as they come, until it closes its end. Raises Cancelled, or BadModel past `until`."""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    rest, said = b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if cancelled():
                raise Cancelled("the import was stopped; nothing was changed")
            if time.monotonic() > until or said > MOST_WORDS:
                raise BadModel("the import took longer than any voice needs and was stopped: the file is damaged")
            if not selector.select(LOOK_S):
                continue
            part = child.stdout.read()
            if not part:
                return
            said += len(part)
            *lines, rest = (rest + part).split(b"\n")
            yield from lines
