"""Section 9: the offline pipeline (`offline_*`)."""

from __future__ import annotations

import json
import re

import numpy as np
import torch
from scipy import signal

from rwc_daemon.controls import Controls
from rwc_daemon.store.layout import SynthConfig, expected_shapes
from rwc_daemon.voices.rvc import offline
from rwc_daemon.voices.rvc.offline import OfflineOptions, OfflinePipeline, Split
from rwc_daemon.voices.rvc.render import Renderer
from rwc_daemon.voices.rvc.synth import Draws, Window
from testkit import golden_recipe as recipe
from testkit.golden import nets
from testkit.golden.report import EXACT, LSB, PIECE, SIGNAL, Golden, Lines, Note, compare, same

FULL_SCALE = 32768
MOST_SPEAKERS = 12  # tried, where a file does not say how many


def check_loudness(g: Golden) -> Lines:
    b, a = signal.butter(offline.HIGH_PASS_ORDER, offline.HIGH_PASS_HZ, btype="high", fs=16000)
    yield compare("b", b, g["b"], SIGNAL)
    yield compare("a", a, g["a"], SIGNAL)
    src = g["src"]
    yield compare("highpassed", offline.high_passed(src), g["highpassed"], SIGNAL)
    for name in g.names:
        if name.startswith("out_rate"):
            share = 1 - float(name.removeprefix("out_rate"))
            ours = offline.with_loudness(src, 16000, g["conv"], g.whole("sr_conv"), share)
            yield compare(name, ours, g[name], SIGNAL)


def _config(g: Golden) -> SynthConfig | None:
    """The voice: as the file says, or the published kind whose weights have the file's digest."""
    if "config" in g:
        return SynthConfig.parse(json.loads(g.text("config")), g.text("version"), bool(g.whole("f0")))
    f0 = "chunk0_pitch" in g
    frames = int(re.findall(r"\d+", json.loads(g.text("draw_order"))[0])[-1])
    rate = 100 * int(g["chunk_out_len"][0]) // frames
    digest = g.text("weights_sha256_synth")
    return next(
        (c for config, version in nets.published(rate) if (c := _known(config, version, f0, g.salt, digest))), None
    )


def _known(config: list, version: str, f0: bool, salt: str, digest: str) -> SynthConfig | None:
    """With the number of speakers that gives the digest, if any does: only the speakers' table depends on it."""
    drawn = recipe.weights(expected_shapes(config, version, f0, 1), recipe.SYNTHESIZER, salt)
    for speakers in (4, *range(1, MOST_SPEAKERS)):
        table = recipe.parameter("emb_g.weight", (speakers, config[16]), recipe.SYNTHESIZER, salt)
        for through_half in (False, True):
            tried = {name: _rounded(w, through_half) for name, w in {**drawn, "emb_g.weight": table}.items()}
            if recipe.digest(tried) == digest:
                return SynthConfig.parse(config, version, f0, speakers)
    return None


def _rounded(w: np.ndarray, through_half: bool) -> np.ndarray:
    return w.astype(np.float16).astype(np.float32) if through_half else w


class RecipeNoise:
    """The reference's draws in their order: every rendering takes the next ones."""

    def __init__(self, config: SynthConfig, tag: str, salt: str) -> None:
        self._c, self._tag, self._salt, self._n = config, tag, salt, 0

    def draws(self, start: int, frames: int, window: Window) -> Draws:
        c = self._c
        latent = self._next("randn_like", (1, c.inter, frames - window.flow_head))
        if not c.f0:
            return Draws(latent)
        self._next("rand", (1, c.harmonics))
        return Draws(latent, self._next("randn_like", (1, window.length * c.hop, c.harmonics)))

    def _next(self, kind: str, shape: tuple[int, ...]) -> torch.Tensor:
        drawn = recipe.noise(self._tag, self._n, kind, shape, self._salt)
        self._n += 1
        return torch.from_numpy(drawn)


class Kept(OfflinePipeline):
    """The pipeline, and what each piece of it was given and gave."""

    def __init__(self, renderer: Renderer, options: OfflineOptions) -> None:
        super().__init__(renderer, options)
        self.lengths: list[int] = []
        self.pitches: list = []
        self.audio: list[np.ndarray] = []

    def convert_piece(self, x_16k, pitch, start, noise, controls):
        y = super().convert_piece(x_16k, pitch, start, noise, controls)
        self.lengths.append(len(x_16k))
        self.pitches.append(pitch)
        self.audio.append(y)
        return y


def check_pipeline(g: Golden) -> Lines:
    salt = g.salt
    encoder, encoder_digest = nets.content(salt)
    tracker, tracker_digest = nets.rmvpe(salt)
    c = _config(g)
    if c is None:
        yield Note("no published kind of voice has weights of this digest")
        return
    synth, known = nets.synthesizer(c, salt, g.text("weights_sha256_synth"))
    yield same("weights_sha256_synth", known, True)
    yield same("weights_sha256_hubert", encoder_digest, g.text("weights_sha256_hubert"))
    yield same("weights_sha256_rmvpe", tracker_digest, g.text("weights_sha256_rmvpe"))
    split = Split(*(float(g[name]) for name in ("x_pad", "x_query", "x_center", "x_max")))
    pipeline = Kept(Renderer(encoder, synth, None, "cpu"), OfflineOptions(split, fill_gaps=True, exact=False))
    controls = Controls(
        pitch=float(g["f0_up_key"]),
        speaker=g.whole("sid"),
        envelope=1 - float(g["rms_mix_rate"]),
        protect=float(g["protect"]),
    )
    y = pipeline.convert(g["audio"], tracker, RecipeNoise(c, "pipeline", salt), controls)
    yield compare("chunk_in_len", pipeline.lengths, g["chunk_in_len"], EXACT)
    yield compare("chunk_out_len", [len(one) for one in pipeline.audio], g["chunk_out_len"], EXACT)
    for n, (pitch, audio) in enumerate(zip(pipeline.pitches, pipeline.audio, strict=True)):
        T = len(pitch.hz)
        yield compare(f"chunk{n}_pitch", pitch.coarse[None], g[f"chunk{n}_pitch"][:, :T], EXACT)
        yield compare(f"chunk{n}_pitchf", pitch.hz[None], g[f"chunk{n}_pitchf"][:, :T], 1e-2)
        yield compare(f"chunk{n}_audio", audio, g[f"chunk{n}_audio"], PIECE)
    yield compare("out_int16", to_int16(y), g["out_int16"], LSB)


def to_int16(y: np.ndarray) -> np.ndarray:
    """As the reference writes: peak below full scale, truncated."""
    return (offline.below_full_scale(y) * FULL_SCALE).astype(np.int16)
