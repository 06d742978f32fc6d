"""Sections 7 and 8: the reference's realtime loop (`rt_* sola_* envmix_* gate_* denoise_in_* torchgate_* …`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.resample import resample
from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.rvc.live import LiveStep
from rwc_daemon.voices.rvc.render import Renderer
from rwc_daemon.voices.rvc.retrieval import Index
from rwc_daemon.voices.rvc.sola import Sola, fade_in, follow_envelope
from rwc_daemon.voices.rvc.synth import Draws, Window
from testkit.golden import nets
from testkit.golden.report import EXACT, LIVE, RESAMPLED, SIGNAL, STEP, Golden, Line, Lines, Note, compare, same
from testkit.yardstick.loop import ReferenceLoop, ReferenceSettings, phase_vocoder, spectral_gate
from testkit.yardstick.step import ReferenceStep

CLEAR_MARGIN = 1e-4  # of the best splice over others: below it the offset is chance
SIZES = {
    "zc": "hop",
    "block_frame": "block",
    "block_frame_16k": "block_16k",
    "crossfade_frame": "crossfade",
    "sola_buffer_frame": "fade",
    "sola_search_frame": "search",
    "extra_frame": "context",
    "skip_head": "skip",
    "return_length": "rendered",
    "input_len": "window",
    "input_res_len": "window_16k",
}


def _settings(g: Golden) -> tuple[ReferenceSettings, dict[str, Any]]:
    p = json.loads(g.text("params"))
    settings = ReferenceSettings(
        rate=g.whole("samplerate"),
        block_s=p["block_time"],
        crossfade_s=p["crossfade_time"],
        context_s=p["extra_time"],
        gate_db=p["threhold"],
        denoise_input=p["I_noise_reduce"],
        denoise_output=p["O_noise_reduce"],
        envelope=1 - p["rms_mix_rate"],
    )
    return settings, p


def _sizes(g: Golden, settings: ReferenceSettings) -> Lines:
    names = [name for name in SIZES if name in g]
    ours = [getattr(settings.geometry, SIZES[name]) for name in names]
    yield compare("geometry", ours, [g.whole(name) for name in names], EXACT)
    if "fade_in" in g:
        yield compare("fade_in", fade_in(settings.geometry.fade), g["fade_in"], SIGNAL)


def _offsets(g: Golden, ours: list[int]) -> Line:
    """Where two places fit equally well, either is right."""
    clear = g["sola_margin"] > CLEAR_MARGIN
    clear[0] = True
    return compare("sola_offset", np.where(clear, ours, 0), np.where(clear, g["sola_offset"], 0), EXACT)


def check_splice(g: Golden) -> Lines:
    settings, _ = _settings(g)
    geometry = settings.geometry
    yield from _sizes(g, settings)
    splice, heard = Sola(geometry), np.zeros(geometry.window, np.float32)
    outs, offsets, tails = [], [], []
    blocks = np.split(g["input"], len(g["input"]) // geometry.block)
    for x, y in zip(blocks, g["model_wav"], strict=True):
        heard = np.concatenate([heard[geometry.block :], x])
        y = follow_envelope(y, heard[geometry.context :], geometry.hop, settings.envelope)
        outs.append(splice.feed(y))
        offsets.append(splice.offset)
        tails.append(splice.tail)
    yield _offsets(g, offsets)
    yield compare("output", np.stack(outs), g["output"], SIGNAL)
    yield compare("sola_buffer_after", np.stack(tails), g["sola_buffer_after"], SIGNAL)


def check_monitor(g: Golden) -> Lines:
    settings, _ = _settings(g)
    yield from _sizes(g, settings)
    loop = ReferenceLoop(settings, settings.rate, None)
    geometry = settings.geometry
    tail = geometry.block + 2 * geometry.hop
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("output", "input_wav_tail", "denoised_tail")}
    found["input_wav_res"] = []
    for x in np.split(g["input"], len(g["input"]) // geometry.block):
        found["output"].append(loop.feed(x))
        found["input_wav_tail"].append(loop.heard[-tail:])
        found["denoised_tail"].append(loop.denoised[-geometry.block :])
        found["input_wav_res"].append(loop.heard_16k)
    for name, ours in found.items():
        yield compare(name, np.stack(ours), g[name], RESAMPLED if name == "input_wav_res" else SIGNAL)


def check_spectral_gate(g: Golden) -> Lines:
    hop = g.whole("n_fft") // 4
    yield compare("y", spectral_gate(g["x"], g["xn"], hop), g["y"], SIGNAL)
    yield compare("y_self", spectral_gate(g["xn"], g["xn"], hop), g["y_self"], SIGNAL)


def check_phase_vocoder(g: Golden) -> Lines:
    for name in g.names:
        if given := re.fullmatch(r"a_(\d+)", name):
            n = given[1]
            ours = phase_vocoder(g[f"a_{n}"].astype(np.float64), g[f"b_{n}"].astype(np.float64))
            yield compare(f"result_{n}", ours, g[f"result_{n}"], SIGNAL)
            yield compare(f"result64_{n}", ours, g[f"result64_{n}"], SIGNAL)


def check_resample(g: Golden) -> Lines:
    for into, out in g["pairs"].tolist():
        ours = resample(g[f"in_{into}_{out}"], into, out)
        yield compare(f"{into} to {out}", ours, g[f"out_{into}_{out}"], RESAMPLED)


class StoredNoise:
    """The draws of one block after the other, as the file keeps them."""

    def __init__(self, g: Golden) -> None:
        self._latent = g["noise_z"]
        self._source = g.get("noise_src")
        self._n = 0

    def draws(self, start: int, frames: int, window: Window) -> Draws:
        n, self._n = self._n, self._n + 1
        latent = torch.from_numpy(self._latent[n][None])
        return Draws(latent, None if self._source is None else torch.from_numpy(self._source[n][None, :, None]))


def check_loop(g: Golden) -> Lines:
    """The whole loop with its nets: `params` and `model` say which."""
    settings, p = _settings(g)
    yield from _sizes(g, settings)
    model = json.loads(g.text("model"))
    c = SynthConfig.parse(model["config"], model["version"], bool(model["f0"]), model["n_spk"])
    synth, known = nets.synthesizer(c, g.salt, g.text("weights_sha256_synth"))
    yield same("weights_sha256_synth", known, True)
    content, digest = nets.content(g.salt)
    yield same("weights_sha256_hubert", digest, g.text("weights_sha256_hubert"))
    tracker, digest = nets.rmvpe(g.salt)
    yield same("weights_sha256_rmvpe", digest, g.text("weights_sha256_rmvpe"))
    index = _index(g.path.parent, c.content) if p["index_rate"] else None
    if p["index_rate"] and index is None:
        yield Note(f"the loop retrieves, but the folder has no index {c.content} wide")
        return
    step = ReferenceStep(Renderer(content, synth, index, "cpu"), settings.geometry, StoredNoise(g))
    controls = Controls(pitch=p["pitch"], formant=p["formant"], index_rate=p["index_rate"])
    loop = ReferenceLoop(settings, c.rate, lambda x_16k: step.run(x_16k, tracker if c.f0 else None, controls))
    yield from _run(g, loop, step)


def _run(g: Golden, loop: ReferenceLoop, step: LiveStep) -> Lines:
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("wav16k", "pitch", "pitchf", "inferred")}
    outs, offsets = [], []
    for x in np.split(g["input"], len(g["input"]) // loop.g.block):
        outs.append(loop.feed(x))
        offsets.append(loop.sola.offset)
        newest = (loop.heard_16k, step.memory.pitch.coarse, step.memory.pitch.hz, loop.inferred)
        for kept, one in zip(found.values(), newest, strict=True):
            kept.append(one)
    limits = {"wav16k": RESAMPLED, "pitch": EXACT, "pitchf": 1e-2, "inferred": STEP}
    for name, ours in found.items():
        if name in g:
            yield compare(name, np.stack(ours), g[name], limits[name])
    yield _offsets(g, offsets)
    yield compare("output", np.concatenate(outs), g["output"], LIVE)


def _index(folder: Path, width: int) -> Index | None:
    found = (Index.load(path) for path in sorted(folder.glob("*.index")))
    return next((index for index in found if index.width == width), None)
