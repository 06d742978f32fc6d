"""Where things are on this machine, by the XDG rules. Functions: the environment is read when asked, never kept."""

from __future__ import annotations

import os
from pathlib import Path


def config_file() -> Path:
    return _base("XDG_CONFIG_HOME", ".config") / "rwc" / "config.toml"


def data_dir() -> Path:
    """Voices and assets."""
    return _base("XDG_DATA_HOME", ".local/share") / "rwc"


def voices_dir() -> Path:
    return data_dir() / "voices"


def assets_dir() -> Path:
    return data_dir() / "assets"


def state_dir() -> Path:
    """What the daemon remembers by itself: state.json."""
    return _base("XDG_STATE_HOME", ".local/state") / "rwc"


def runtime_dir() -> Path:
    """Short-lived files of one session. Never below /tmp, where another user could have made the folder first."""
    return _base("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}", home=False) / "rwc"


def _base(variable: str, otherwise: str, home: bool = True) -> Path:
    """The XDG specification: a path that is not absolute counts as unset."""
    given = os.environ.get(variable, "")
    if os.path.isabs(given):
        return Path(given)
    return Path.home() / otherwise if home else Path(otherwise)
