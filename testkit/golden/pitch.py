"""Section 6: pitch trackers (`f0_coarse`, `pitch_classic`, `rmvpe_*`, `tiny_rmvpe`, `fcpe`)."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import nn

from rwc_daemon.errors import MissingPackage
from rwc_daemon.voices.f0 import fcpe, rmvpe, shape
from rwc_daemon.voices.f0.praat import Praat
from rwc_daemon.voices.f0.world import Dio, Harvest
from testkit.golden import nets
from testkit.golden.report import EXACT, FCPE_LATENT, HZ, SALIENCE, TAP, Golden, Lines, Note, compare, compare_mel, same
from testkit.golden.synth import tapped

CLEAR_GAP = 1e-5  # between the two greatest bins: below it their order is chance


def check_coarse(g: Golden) -> Lines:
    yield compare("coarse", shape.coarse(g["f0"]), g["coarse"], EXACT)


def check_classic(g: Golden) -> Lines:
    x = g["audio"]
    try:
        raw = Praat().track(x)
        yield compare("pm_raw", raw, g["pm_raw"], HZ)
        for name in g.names:
            if given := re.fullmatch(r"pm_key(-?\d+)_(interp|coarse)", name):
                moved = shape.transpose(shape.interpolate_gaps(raw), int(given[1]))
                exact = given[2] == "coarse"
                yield compare(name, shape.coarse(moved) if exact else moved, g[name], EXACT if exact else HZ)
    except MissingPackage as error:
        yield Note(f"pm: {error}")
    try:
        yield compare("harvest_medfilt3", Harvest().track(x), g["harvest_medfilt3"], HZ)
        yield compare("harvest + our median", shape.median(g["harvest"]), g["harvest_medfilt3"], HZ)
        yield compare("dio_stonemask", Dio().track(x), g["dio_stonemask"], HZ)
    except MissingPackage as error:
        yield Note(f"harvest, dio: {error}")


def check_rmvpe(g: Golden) -> Lines:
    net, digest = nets.rmvpe(g.salt, g.text("args") if "args" in g else "")
    yield same("weights_sha256", digest, g.text("weights_sha256"))
    x = torch.from_numpy(g["audio"])
    named = {"tap_" + path.replace(".", "_") + "_sub": module for path, module in net.named_modules()}
    with torch.inference_mode(), tapped(net, {name: _always(one) for name, one in named.items()}, g.names) as seen:
        mel = net.mel(x)
        salience = net.salience(mel)
    yield compare_mel(mel, g["mel"], axis=-2)
    for name, ours in seen.items():
        thin = ours[:, :4, ::4] if ours.dim() == 4 else ours
        yield compare(name, thin, g[name], TAP, "relative")
    yield compare("salience", salience, g["salience"], SALIENCE)
    yield compare("f0", rmvpe.decode(salience[0]), g["f0"], HZ)
    yield compare("f0 of track()", net.track(g["audio"]), g["f0"], HZ)


def _always(module: nn.Module):
    return lambda _: module


def check_rmvpe_decode(g: Golden) -> Lines:
    for name in g.names:
        if name.startswith("f0_thr"):
            threshold = int(name.removeprefix("f0_thr")) / 100
            ours = rmvpe.decode(torch.from_numpy(g["salience"]), threshold)
            yield compare(name, ours, g[name], HZ)


def check_fcpe(g: Golden) -> Lines:
    net, digest = nets.fcpe(g.salt)
    yield same("weights_sha256", digest, g.text("weights_sha256"))
    with torch.inference_mode():
        mel = net.mel(torch.from_numpy(g["audio"]))
        latent = net.salience(mel)[0]
    yield compare_mel(mel.mT, g["mel"], axis=-1)
    yield compare("latent", latent, g["latent"], FCPE_LATENT)
    clear = g["top2_gap"] > CLEAR_GAP
    threshold = float(g["threshold"])
    for name, local in (("f0_local_argmax", True), ("f0_argmax", False)):
        ours = fcpe.decode(latent, threshold, local).numpy()
        yield compare(name, np.where(clear, ours, 0), np.where(clear, g[name], 0), HZ)
