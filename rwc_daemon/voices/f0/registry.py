"""Opens pitch trackers by the rows of `rwc_daemon.trackers`, and tells which of them this machine can run.

`yin` and `autocorrelation` always run. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any, Protocol

from rwc_daemon import extras
from rwc_daemon.errors import MissingAsset, OutOfRange, RwcError, Unsupported
from rwc_daemon.trackers import TRACKERS, TrackerRow
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.shared import shared

PRECISIONS = ("float32", "bfloat16", "float16")


class WeightFiles(Protocol):
    """The part of `store.assets.Assets` that is used here."""

    def has(self, name: str) -> bool: ...

    def path(self, name: str) -> Path: ...


def open_tracker(name: str, assets: WeightFiles, device: str = "cpu", precision: str = "float32") -> Tracker:
    """The tracker `name` of `TRACKERS`, ready. `device` and `precision` (of `PRECISIONS`) matter to nets only.

    Raises OutOfRange (no such tracker), MissingAsset, MissingPackage, BadModel.
    """
    row = require(name, assets)
    if not row.weights:
        tracker: Tracker = _maker(row)()
        return tracker
    path = assets.path(name)
    return shared(path, (name, device, precision), lambda: _open_net(row, path, device, precision))


def available(assets: WeightFiles) -> dict[str, str]:
    """Every tracker: "" where it can run, else what is missing and what brings it."""
    found = {}
    for name in TRACKERS:
        try:
            require(name, assets)
            found[name] = ""
        except RwcError as error:
            found[name] = str(error)
    return found


def require(name: str, assets: WeightFiles) -> TrackerRow:
    """The row of a tracker that can run here. Raises OutOfRange, MissingPackage, MissingAsset."""
    row = TRACKERS.get(name)
    if row is None:
        raise OutOfRange(f"no pitch tracker '{name}': choose {', '.join(TRACKERS)}")
    if row.package:
        extras.require(row.package, name)
    if row.weights and not assets.has(name):
        raise MissingAsset(f"the weights of {name} are not here: `rwcctl assets fetch {name}`, or choose yin")
    return row


def _open_net(row: TrackerRow, path: Path, device: str, precision: str) -> Tracker:
    import torch

    if precision not in PRECISIONS:
        raise Unsupported(f"nets run in {', '.join(PRECISIONS)}; not '{precision}'")
    tracker: Tracker = _maker(row)(path, device, getattr(torch, precision))
    return tracker


def _maker(row: TrackerRow) -> Any:
    module = importlib.import_module(f"rwc_daemon.voices.f0.{row.module}")
    return functools.reduce(getattr, row.make.split("."), module)
