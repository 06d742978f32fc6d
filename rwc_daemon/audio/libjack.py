"""Chooses the libjack: PipeWire's if PipeWire runs, else JACK2's if a jackd runs.

Linux has two libraries of one name, and the loader's search path knows only one of them, often the wrong one. The right
one is loaded by its path before `import jack`, so that nobody has to type `pw-jack`. No server is ever started.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rwc_daemon.audio.callback import bind_libjack
from rwc_daemon.errors import NoAudioServer

SONAME = "libjack.so.0"
INSTALL = "install pipewire-jack (Debian, Ubuntu, Arch) or pipewire-jack-audio-connection-kit (Fedora)"
START = "start PipeWire (systemctl --user start pipewire) or jackd, or try tools/start, which brings its own"


@dataclass(frozen=True)
class LibJack:
    """The library of this process; it cannot be changed without a restart."""

    module: ModuleType
    """JACK-Client."""
    server: str
    """ "pipewire 0.3.65" or "jack 1.9.21"."""

    @property
    def is_pipewire(self) -> bool:
        return self.server.startswith("pipewire")


def runtime_dir() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")


def answers(path: Path) -> bool:
    """Whether a server listens on that socket: a killed one leaves its file behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def pipewire_runs() -> bool:
    folder = Path(os.environ.get("PIPEWIRE_RUNTIME_DIR") or runtime_dir())
    return answers(folder / (os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0"))


def jackd_runs() -> bool:
    """JACK2 keeps its server's socket where it was built to: in /dev/shm (Debian, Fedora) or /tmp."""
    name = f"jack_{os.environ.get('JACK_DEFAULT_SERVER', 'default')}_{os.getuid()}_0"
    return any(answers(Path(folder) / name) for folder in ("/dev/shm", "/tmp"))  # noqa: S108 - JACK's own places


def plain_jack() -> bool:
    """Whether JACK2 runs alone, so that its ports are the microphone."""
    return jackd_runs() and not pipewire_runs()


def require_server() -> bool:
    """Returns True if PipeWire runs, False if jackd does. Raises NoAudioServer if neither does."""
    pipewire = pipewire_runs()
    if not pipewire and not jackd_runs():
        raise NoAudioServer(f"neither PipeWire nor JACK answers: {START}")
    return pipewire


def load() -> LibJack:
    """Loads the library of the server that runs. Raises NoAudioServer, which says what to install or start."""
    pipewire = require_server()
    path, module = _imported() or _import(_pipewire_library() if pipewire else SONAME)
    bind_libjack(path)
    server = _server_of(path)
    if server.startswith("pipewire") != pipewire:
        runs = "PipeWire" if pipewire else "jackd"
        fix = "restart rwc-daemon" if _pipewire_library(None) else INSTALL
        raise NoAudioServer(f"{runs} runs, but the libjack loaded here is that of {server}: {fix}")
    return LibJack(module, server)


def _pipewire_library(fallback: str | None = SONAME) -> str | None:
    """Debian and its kin, Fedora, others; where PipeWire's has replaced JACK2's (Arch), the plain name is right."""
    roots = ("/usr/lib64", f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib")
    paths = [Path(root) / folder / "jack" / SONAME for root in roots for folder in ("pipewire-0.3", "pipewire")]
    return next((str(path) for path in paths if path.exists()), fallback)


def installed() -> bool:
    """Whether a libjack that speaks to PipeWire can be found, without loading it."""
    return _pipewire_library(None) is not None or ctypes.util.find_library("jack") is not None


def _imported() -> tuple[str, ModuleType] | None:
    module = sys.modules.get("jack")
    return (module._libname, module) if module else None


def _import(path: str | None) -> tuple[str, ModuleType]:
    assert path
    try:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
        with _found_as(path):
            module = importlib.import_module("jack")
    except OSError as error:
        raise NoAudioServer(f"no libjack ({error}): {INSTALL}") from error
    # libjack prints to stderr what we report in our own words
    module.set_error_function(_say_nothing)
    module.set_info_function(_say_nothing)
    return path, module


@contextmanager
def _found_as(path: str) -> Iterator[None]:
    """While JACK-Client is imported, its search for "jack" finds `path`."""
    search = ctypes.util.find_library
    ctypes.util.find_library = lambda name: path if name == "jack" else search(name)  # type: ignore[assignment]
    try:
        yield
    finally:
        ctypes.util.find_library = search


def _say_nothing(message: str) -> None:
    del message


def _server_of(path: str) -> str:
    """ "3.0.0.0 (using PipeWire 0.3.65)" or "1.9.21", said as we say it."""
    library = ctypes.CDLL(path)
    library.jack_get_version_string.restype = ctypes.c_char_p
    version = library.jack_get_version_string().decode()
    _, is_pipewire, rest = version.partition("PipeWire ")
    return f"pipewire {rest.rstrip(')')}" if is_pipewire else f"jack {version}"
