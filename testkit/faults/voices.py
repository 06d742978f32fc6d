"""Voices for the fault suite, imported through the front door: a good one, and one whose weights were spoiled later."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from testkit.faults.world import World, run

GOOD, NAN = "good", "spoiled"
ROOT = Path(__file__).parents[2]


def file_of(world: World) -> Path:
    return world.home / "made" / f"{GOOD}.pth"


def bring(world: World) -> None:
    """Small files with random weights, and the support files that they need."""
    made = world.home / "made"
    tool = [sys.executable, str(ROOT / "tools/make_voice"), str(made)]
    run(*tool, "--assets", timeout_s=120)
    for name in (GOOD, NAN):
        run(*tool, "--name", name, "--index", "none", timeout_s=120)
    for path in made.iterdir():
        if path.stem not in (GOOD, NAN):
            run(world_ctl(), "assets", "add", str(path), timeout_s=120)
    for name in (GOOD, NAN):
        world.rwcctl("import", str(made / f"{name}.pth"), "--name", name)
    spoil(world)


def world_ctl() -> str:
    return str(Path(sys.executable).parent / "rwcctl")


def spoil(world: World) -> None:
    """Every weight of the decoder's first layer is no number, as after a training that went astray."""
    cards = [card for card in world.call("ListVoices") if card["name"] == NAN]
    folder = world.home / ".local/share/rwc/voices" / cards[0]["id"]
    path = folder / "weights.safetensors"
    weights = load_file(path)
    name = next(key for key in weights if "conv_pre" in key and key.endswith("weight"))
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, path)
