"""A virtual environment that holds what this one holds, but for the packages named: truly absent, and no download.

Everything else is linked, so that pip finds it installed; pip is kept from any index, so it could not replace a link.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
SOURCES = ("rwc_daemon", "tools", "dbus", "docs", "systemd", *FILES)
BUILT = ("_filter", "_ring", "_callback", "_builtin", "_native")
OURS = ("rwc", "_rwc", "__editable__", "__pycache__")
NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


def environment(folder: Path, *without: str) -> Path:
    """A venv at `folder` without this package and without distributions whose files begin with these words."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    own, theirs = (Path(path) for path in (_site(folder / "bin/python"), sysconfig.get_paths()["purelib"]))
    for entry in theirs.iterdir():
        if not entry.name.startswith((*OURS, *without)) and entry.suffix != ".pth":
            (own / entry.name).symlink_to(entry)
    return folder


def checkout(folder: Path) -> Path:
    """A copy of this checkout's sources, with nothing built."""
    folder.mkdir()
    for name in SOURCES:
        _copy(ROOT / name, folder / name)
    return folder


def clean(**more: str) -> dict[str, str]:
    """The environment of a command that knows nothing of this one's folders."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "RWC_", "PIP_", "PYTHON"))}
    return kept | NO_INDEX | more


def _site(python: Path) -> str:
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir()
        for entry in source.iterdir():
            if entry.name != "__pycache__" and entry.stem.split(".")[0] not in BUILT:
                _copy(entry, target / entry.name)
    else:
        target.write_bytes(source.read_bytes())
        target.chmod(source.stat().st_mode)
