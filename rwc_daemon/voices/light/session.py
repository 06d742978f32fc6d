"""The memory of one conversion by a light voice.

    x ─▶ 16 kHz ─▶ mel ─▶ content ─┐
                 ─▶ pitch, loudness ┴▶ decoder ─▶ synthesis @24 kHz ─▶ host's rate ─▶ y

Everything happens in steps of 20 ms of input at absolute sample numbers; a block only says how far time has come, so
its size changes no bit. The nets' time begins 2.5 ms before the input: then step k, which ends with sample
320 k + 360 @16 kHz, has the whole windows of hops 2k and 2k + 1, with which the content of hops 2k - 2 and 2k - 1 is
known. Their sound is finished up to 10 ms before the newer of them: 32.5 ms behind the input. Half a step more is held
ready, so that blocks may be any number of 10 ms hops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.dsp.finite import finite
from rwc_daemon.dsp.resample import Resampler
from rwc_daemon.plan import RATE_16K, Plan
from rwc_daemon.voices.light import content, decoder, hearing, shape, synthesis

STEP_16K = shape.FRAME_16K
LEAD_16K = 40  # silence before the input
VIEW_16K = 1214  # samples that a step looks at
MEL_FROM = VIEW_16K - shape.MEL_WINDOW - shape.HOP_16K
# the pitch of a hop is that of 0.4 ms before it, which is as late as the view allows
HOPS_AT = (534, 694)
BEHIND_MS = 42.5
QUIET_LOUD, SILENT_LOUD = -8.0, -8.8  # log RMS between which the voice fades in: -70 and -76 dB
REST_STEPS = 100  # of silence, after which the nets have nothing left to say


@dataclass(frozen=True)
class Nets:
    """The weights that a session runs."""

    encoder: content.Encoder
    decoder: decoder.Decoder
    pitch_hz: float
    """The speaker's."""
    level: float
    """The speaker's usual loudness as the decoder renders it, log RMS."""


class LightSession:
    """One stream's memory (see `voices.base.Session`)."""

    def __init__(self, nets: Nets, plan: Plan, controls: Controls, seed: int = 0) -> None:
        self._nets, self._rate = nets, plan.rate
        self._to_16k, self._to_host = Resampler(plan.rate, RATE_16K), Resampler(shape.RATE, plan.rate)
        late_s = BEHIND_MS / 1000 + self._to_16k.delay / RATE_16K
        self.delay = round(late_s * plan.rate) + self._to_host.delay
        self._heard = np.zeros(VIEW_16K - STEP_16K, np.float32)  # the lead is the newest of it
        self._ready = np.zeros(shape.HOP, np.float32)  # @24 kHz: half a step
        self._encoder, self._decoder = nets.encoder.memory(), decoder.Memory()
        self._hearing, self._sound = hearing.Memory(), synthesis.Memory(np.random.default_rng(seed))
        self._formant, self._synthesis = 0.0, synthesis.Synthesis()
        self._silent_steps = 0

    def convert(self, x: np.ndarray, controls: Controls, silent: bool = False) -> np.ndarray:
        """f32[block] → f32[block]; the block is a whole number of hops. Silence is found by the steps themselves."""
        if controls.formant != self._formant:
            self._formant = controls.formant
            self._synthesis = synthesis.Synthesis(2.0 ** (controls.formant / 12))
        self._heard = np.concatenate([self._heard, self._to_16k.feed(finite(x))])
        parts = [self._ready]
        while len(self._heard) >= VIEW_16K:
            parts.append(self._step(self._heard[:VIEW_16K], controls))
            self._heard = self._heard[STEP_16K:]
        made = np.concatenate(parts)
        count = len(x) * shape.RATE // self._rate
        self._ready = made[count:]
        return self._to_host.feed(made[:count])

    def _step(self, view: np.ndarray, controls: Controls) -> np.ndarray:
        """f32[1214] @16 kHz → f32[480] @24 kHz."""
        louds = np.array([_loudness(view[at - shape.HOP_16K : at + shape.HOP_16K]) for at in HOPS_AT], np.float32)
        self._silent_steps = self._silent_steps + 1 if louds.max() < SILENT_LOUD else 0
        if self._silent_steps > REST_STEPS:
            return np.zeros(synthesis.STEP, np.float32)
        said = self._nets.encoder.step(self._nets.encoder.spectra(view[MEL_FROM:]), self._encoder)
        pitches = hearing.pitches(view)
        hops = [hearing.step(float(hz), float(loud), self._hearing) for hz, loud in zip(pitches, louds, strict=True)]
        if said is None:
            return np.zeros(synthesis.STEP, np.float32)
        conditions = np.array(hops, np.float32)
        parameters = self._nets.decoder.step(said, conditions, self._decoder)
        hz = self._nets.pitch_hz * np.exp(conditions[:, 0].astype(np.float64)) * 2.0 ** (controls.pitch / 12)
        gain = np.exp(controls.envelope * (self._hearing.usual - self._nets.level))
        fade = np.clip((louds - SILENT_LOUD) / (QUIET_LOUD - SILENT_LOUD), 0, 1)
        return self._synthesis.step(parameters, hz, (gain * fade).astype(np.float32), self._sound)


def _loudness(x: np.ndarray) -> float:
    return float(np.log(np.sqrt(np.square(x, dtype=np.float64).mean() + 1e-8)))
