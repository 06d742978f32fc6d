"""Which pitch trackers there are, which of them this machine can run, and one of them by name.

`yin` and `autocorrelation` always run; rmvpe, fcpe and both crepes need torch and weights; harvest, dio, pm a package.
Nothing is imported before it is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rwc_daemon import extras
from rwc_daemon.controls import F0_METHODS
from rwc_daemon.errors import MissingAsset, OutOfRange, RwcError, Unsupported
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.shared import shared

NETS = ("rmvpe", "fcpe", "crepe", "crepe-tiny")
TRACKERS = tuple(name for name in F0_METHODS if name != "auto")
PACKAGES = {"harvest": "pyworld", "dio": "pyworld", "pm": "praat-parselmouth"}
PRECISIONS = ("float32", "bfloat16", "float16")


class Assets(Protocol):
    """The part of `store.assets.Assets` that is used here."""

    def has(self, name: str) -> bool: ...

    def path(self, name: str) -> Path: ...


def open_tracker(name: str, assets: Assets, device: str = "cpu", precision: str = "float32") -> Tracker:
    """The tracker `name` of `TRACKERS`, ready. `device` and `precision` (of `PRECISIONS`) matter to nets only.

    Raises OutOfRange (no such tracker), MissingAsset, MissingPackage, BadModel.
    """
    _require(name, assets)
    if name in NETS:
        path = assets.path(name)
        return shared(path, (name, device, precision), lambda: _open_net(name, path, device, precision))
    if name in ("harvest", "dio"):
        from rwc_daemon.voices.f0 import world

        return world.Harvest() if name == "harvest" else world.Dio()
    if name == "pm":
        from rwc_daemon.voices.f0.praat import Praat

        return Praat()
    if name == "autocorrelation":
        from rwc_daemon.voices.f0.autocorrelation import Autocorrelation

        return Autocorrelation()
    from rwc_daemon.voices.f0.yin import Yin

    return Yin()


def available(assets: Assets) -> dict[str, str]:
    """Every tracker: "" where it can run, else what is missing and what brings it."""
    found = {}
    for name in TRACKERS:
        try:
            _require(name, assets)
            found[name] = ""
        except RwcError as error:
            found[name] = str(error)
    return found


def _open_net(name: str, path: Path, device: str, precision: str) -> Tracker:
    import torch

    if precision not in PRECISIONS:
        raise Unsupported(f"nets run in {', '.join(PRECISIONS)}; not '{precision}'")
    dtype: torch.dtype = getattr(torch, precision)
    if name == "rmvpe":
        from rwc_daemon.voices.f0.rmvpe import Rmvpe

        return Rmvpe.load(path, device, dtype)
    if name == "fcpe":
        from rwc_daemon.voices.f0.fcpe import Fcpe

        return Fcpe.load(path, device, dtype)
    from rwc_daemon.voices.f0.crepe import Crepe

    return Crepe.load(path, device, dtype, name)


def _require(name: str, assets: Assets) -> None:
    if name not in TRACKERS:
        raise OutOfRange(f"no pitch tracker '{name}': choose {', '.join(TRACKERS)}")
    package = "torch" if name in NETS else PACKAGES.get(name)
    if package:
        extras.require(package, name)
    if name in NETS and not assets.has(name):
        raise MissingAsset(f"the weights of {name} are not here: `rwcctl assets fetch {name}`, or choose yin")
