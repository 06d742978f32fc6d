"""The optional Python packages: what each brings, which extra of this package has it, and the command that installs it.

python -m rwc_daemon.extras PACKAGE requirement|gives       for tools/setup
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rwc_daemon.errors import MissingPackage

OURS = "rwc-daemon"
LEFT_OUT = "rwc-left-out"  # of tools/setup, in the virtual environment: a package and why, a line each


@dataclass(frozen=True)
class Optional:
    """One package that RWC can do without."""

    module: str
    """What is imported."""
    extra: str
    """Of pyproject.toml."""
    gives: str
    """What is missing without it."""


OPTIONAL = {
    "torch": Optional("torch", "rvc", "RVC voices"),
    "faiss-cpu": Optional("faiss", "rvc", "indexes of RVC voices"),
    "onnxruntime": Optional("onnxruntime", "onnx", "ONNX voices"),
    "pyworld": Optional("pyworld", "world", "pitch trackers harvest and dio"),
    "praat-parselmouth": Optional("parselmouth", "praat", "pitch tracker pm"),
    "av": Optional("av", "media", "sound files of kinds like m4a, webm and wma"),
    "systemd-python": Optional("systemd", "systemd", "structured lines in the journal"),
}


def install_command(extra: str) -> str:
    """What installs `extra` into this Python, from whatever directory it is typed. The name is enough: this package is
    installed already, so that pip asks for what its extra adds and for nothing else."""
    return f"{shlex.quote(sys.executable)} -m pip install '{OURS}[{extra}]'"


def missing(package: str, wants: str) -> MissingPackage:
    """The error to raise: `wants` ("an RVC voice") is what cannot be had without `package`."""
    extra = OPTIONAL[package].extra
    return MissingPackage(f"{wants} needs {package} (extra '{extra}'): {install_command(extra)}")


def require(package: str, wants: str) -> None:
    """Raises MissingPackage where `package` cannot be imported."""
    if importlib.util.find_spec(OPTIONAL[package].module) is None:
        raise missing(package, wants)


def installed(package: str) -> str:
    """Its version, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def left_out(environment: Path | None = None) -> dict[str, str]:
    """What tools/setup tried to install in vain and is still not here: package → cause."""
    try:
        text = (Path(environment or sys.prefix) / LEFT_OUT).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    told = dict(line.partition("\t")[::2] for line in text.splitlines())
    return {package: why for package, why in told.items() if package in OPTIONAL and not installed(package)}


def needed() -> list[str]:
    """Returns the packages that this one cannot do without, by the names that `installed` takes."""
    return [re.split(r"[^\w.-]", text)[0] for text in requires(OURS) or () if "extra ==" not in text]


def requirement(package: str) -> str:
    """As pip wants it, with the versions that our extra asks for: "pyworld>=0.3.4"."""
    wanted = [text.partition(";")[0].strip() for text in requires(OURS) or ()]
    return next(text for text in wanted if text.startswith(package))


if __name__ == "__main__":
    package, what = sys.argv[1:]
    print(requirement(package) if what == "requirement" else OPTIONAL[package].gives)
