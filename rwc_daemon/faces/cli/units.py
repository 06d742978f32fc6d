"""Which files `rwcctl install` writes, and what stands in them: the templates of `systemd/` and `dbus/`, filled in."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rwc_daemon.audio import holder
from rwc_daemon.errors import MissingPackage, Unsupported
from rwc_daemon.host import paths

DAEMON, MICROPHONE, ACTIVATION = "rwc-daemon.service", "rwc-mic.service", "org.rwc.Daemon1.service"
HOLDER_CONFIG = "rwc-mic.conf"
SHARE = "share/rwc"  # below sys.prefix: where an installed wheel keeps what a checkout has at its top


@dataclass(frozen=True)
class Written:
    """One file of an installation."""

    path: Path
    text: str
    service: str = ""
    """The service that must be started again when the text changes; empty: none."""


def wanted_files(node: bool = True) -> list[Written]:
    """Everything an installation consists of, in the order of writing. The node's parts only where PipeWire is, and
    not without `node`."""
    units, data = paths.config_file().parent.parent / "systemd" / "user", paths.data_dir().parent
    values = {"DAEMON": quoted_program(program("rwc-daemon"))}
    files = [
        Written(units / DAEMON, filled("systemd", DAEMON, values), DAEMON),
        Written(data / "dbus-1" / "services" / ACTIVATION, filled("dbus", ACTIVATION, {})),
    ]
    pipewire = shutil.which("pipewire")
    if not pipewire or not node:
        return files
    config = paths.config_file().parent / HOLDER_CONFIG
    values = {"PIPEWIRE": quoted_program(Path(pipewire)), "HOLDER_CONFIG": quoted(config)}
    return [
        Written(paths.config_file().parent.parent / holder.STANDBY_FILE, holder.STANDBY_CONFIGURATION),
        Written(config, holder.CONFIGURATION, MICROPHONE),
        Written(units / MICROPHONE, filled("systemd", MICROPHONE, values), MICROPHONE),
        *files,
    ]


def stale(file: Written) -> bool:
    """Whether the file is missing or says something else."""
    try:
        return file.path.read_text(encoding="utf-8") != file.text
    except (OSError, UnicodeDecodeError):
        return True


def program(name: str) -> Path:
    """A script of this installation: beside the interpreter that runs us. Raises MissingPackage."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise MissingPackage(f"{path} is not there: install the package with ./tools/start or 'pip install -e .'")
    return path


def filled(folder: str, name: str, values: dict[str, str]) -> str:
    """A template with every @NAME@ replaced."""
    text = template(folder, name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def template(folder: str, name: str) -> Path:
    """In a checkout at its top, from a wheel below sys.prefix. Raises MissingPackage."""
    for root in (Path(__file__).resolve().parents[3], Path(sys.prefix) / SHARE):
        if (root / folder / name).is_file():
            return root / folder / name
    raise MissingPackage(f"{folder}/{name} was not installed with this package: install it again with pip")


def quoted(path: Path) -> str:
    """A path as one argument in a unit file, safe from systemd's own % and $. Raises Unsupported."""
    return quoted_program(path).replace("$", "$$")


def quoted_program(path: Path) -> str:
    """The same for the program itself, in which systemd looks for no variables. Raises Unsupported."""
    text = str(path)
    if set(text) & set("'\"\\") or not text.isprintable():
        raise Unsupported(f"systemd starts nothing from a folder with quotes or backslashes in its name: {text}")
    return '"' + text.replace("%", "%%") + '"'
