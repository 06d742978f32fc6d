"""Teaches the decoder: batches out of examples, steps against the losses and the critics, checkpoints to go on from.

Every step draws from the seed and its own number, so a run that was stopped goes on as if it had not been (but for the
optimiser's memory, which is found again within some fifty steps).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.training import losses
from rwc_daemon.voices.light.training.features import Example
from rwc_daemon.voices.light.training.nets import Decoder, fill, state_of

CONTEXT = 24  # hops at the beginning of a clip that are not judged: their past is missing
Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How to learn."""

    batch: int = 6
    hops: int = 104
    rate: float = 3e-4
    critics_rate: float = 5e-4
    warm_up: int = 50
    """Steps after a start in which the rate rises."""
    critics_from: int = 0
    """The step from which the critics take part."""
    critics_samples: int = 14400
    low_weight: float = 0.3
    unreal_weight: float = 0.3
    different_weight: float = 0.9
    mean_decay: float = 0.99
    """Of the running mean of the weights, which is what gets shipped."""
    report_every: int = 100
    seed: int = 1


class Learner:
    """A decoder that learns. `folder`: where it begins from and saves to."""

    def __init__(self, folder: Path, speakers: int, recipe: Recipe, device: str = "cpu") -> None:
        self.folder, self.recipe, self.device = folder, recipe, device
        torch.manual_seed(recipe.seed)
        self.net, self.critics = Decoder(speakers).to(device), losses.critics().to(device)
        self.mean = Decoder(speakers).to(device)
        self.step = self._load()
        self._begun_at = self.step
        betas = (0.8, 0.98)
        self._for_net = torch.optim.AdamW(self.net.parameters(), recipe.rate, betas, weight_decay=1e-3)
        self._for_critics = torch.optim.AdamW(self.critics.parameters(), recipe.critics_rate, betas, weight_decay=1e-3)
        self._spectra = losses.Spectra().to(device)
        self._sums: dict[str, list[float]] = {}

    def run(
        self,
        examples: list[Example],
        held_out: Sequence[Example],
        seconds: float,
        more: Callable[[], None] | None = None,
        say: Say = print,
        last_step: float = float("inf"),
    ) -> None:
        """Learns for so long, or up to a step; `more` may add examples and is called with each report."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and self.step < last_step:
            self._one(examples)
            if self.step % self.recipe.report_every == 0:
                self._report(examples, held_out, time.monotonic() - begun, say)
                self.save()
                if more is not None:
                    more()
        self.save()

    def save(self) -> None:
        """Writes the checkpoint, each file whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {"step": str(self.step)}
        for name, net in (("decoder", self.net), ("decoder-mean", self.mean), ("critics", self.critics)):
            part = self.folder / f"{name}.part"
            save_file(state_of(net), part, about)
            part.replace(self.folder / f"{name}.safetensors")

    def validate(self, held_out: Sequence[Example]) -> tuple[float, float]:
        """The two spectral losses of the mean weights, heard from other speakers."""
        found = []
        for one in held_out:
            hops = len(one.sound) // shape.HOP
            view = one.views[0]
            parts = (view.content[: hops // 2].astype(np.float32), view.conditions[:, :hops], one.pulses)
            content, conditions, pulses = (torch.from_numpy(part)[None].to(self.device) for part in parts)
            noise = torch.randn(pulses.shape, generator=torch.Generator().manual_seed(0)).to(self.device)
            with torch.no_grad():
                speaker = torch.tensor([one.speaker], device=self.device)
                y = self.mean(content, conditions, speaker, pulses, noise)
                wide, low = self._spectra(y, torch.from_numpy(one.sound)[None].to(self.device))
            found.append((wide.item(), low.item()))
        wide, low = np.mean(found, axis=0)
        return float(wide), float(low)

    def _load(self) -> int:
        """Fills the nets with what the folder holds; returns the step. A new decoder begins with even statistics."""
        step = 0
        for name, net in (("decoder", self.net), ("decoder-mean", self.mean), ("critics", self.critics)):
            path = self.folder / f"{name}.safetensors"
            if path.exists():
                fill(net, load_file(path))
        if not (self.folder / "decoder-mean.safetensors").exists():
            self.mean.load_state_dict(self.net.state_dict())
        log = self.folder / "log.jsonl"
        if log.exists() and (lines := log.read_text(encoding="utf-8").splitlines()):
            step = int(json.loads(lines[-1])["step"])
        return step

    def normalise(self, examples: Sequence[Example]) -> None:
        """Measures mean and spread of what the decoder hears; wanted once, before the first step from nothing."""
        content = np.concatenate([view.content.astype(np.float32) for one in examples for view in one.views])
        conditions = np.concatenate([view.conditions for one in examples for view in one.views], 1)
        for net in (self.net, self.mean):
            net.mean[:] = torch.from_numpy(content.mean(0))
            net.spread[:] = torch.from_numpy(content.std(0) + 1e-3)
            net.condition_mean[:] = torch.from_numpy(conditions.mean(1))
            net.condition_spread[:] = torch.from_numpy(conditions.std(1) + 1e-3)

    def _one(self, examples: list[Example]) -> None:
        r = self.recipe
        rate = min(1.0, (self.step - self._begun_at + 1) / r.warm_up)
        for optimiser, full in ((self._for_net, r.rate), (self._for_critics, r.critics_rate)):
            for group in optimiser.param_groups:
                group["lr"] = full * rate
        rng = np.random.default_rng((r.seed, self.step))
        torch.manual_seed(r.seed * 1_000_003 + self.step)
        content, conditions, speaker, pulses, goal = self._batch(examples, rng)
        content = content + 0.05 * self.net.spread * torch.randn_like(content)
        y = self.net(content, conditions, speaker, pulses, torch.randn_like(pulses))[:, CONTEXT * shape.HOP :]
        goal = goal[:, CONTEXT * shape.HOP :]
        wide, low = self._spectra(y, goal)
        loss = wide + r.low_weight * low
        if self.step >= r.critics_from:
            at = int(rng.integers(0, y.shape[1] - r.critics_samples + 1))
            loss = loss + self._criticised(*(one[:, at : at + r.critics_samples] for one in (y, goal)))
        self._for_net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._for_net.step()
        self.step += 1
        with torch.no_grad():
            for own, other in zip(self.mean.parameters(), self.net.parameters(), strict=True):
                own.lerp_(other, 1 - r.mean_decay)
        self._note(wide=wide, low=low)

    def _criticised(self, y: Tensor, goal: Tensor) -> Tensor:
        own = losses.judged(self.critics, y.detach(), goal)
        self._for_critics.zero_grad()
        own.backward()  # type: ignore[no-untyped-call]
        self._for_critics.step()
        for weight in self.critics.parameters():
            weight.requires_grad_(False)
        unreal, different = losses.convincing(self.critics, y, goal)
        for weight in self.critics.parameters():
            weight.requires_grad_(True)
        self._note(critics=own, unreal=unreal, different=different)
        return self.recipe.unreal_weight * unreal + self.recipe.different_weight * different

    def _batch(self, examples: list[Example], rng: np.random.Generator) -> list[Tensor]:
        r = self.recipe
        of_speaker = [[one for one in examples if one.speaker == n] for n in sorted({e.speaker for e in examples})]
        rows = []
        for _ in range(r.batch):
            some = of_speaker[int(rng.integers(len(of_speaker)))]
            rows.append(_clip(some[int(rng.integers(len(some)))], r.hops, rng))
        columns = list(zip(*rows, strict=True))
        parts = [torch.from_numpy(np.stack(column)).to(self.device) for column in columns]
        return parts

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._sums.setdefault(name, []).append(value.item())

    def _report(self, examples: list[Example], held_out: Sequence[Example], seconds: float, say: Say) -> None:
        minutes = sum(len(one.sound) for one in examples) / shape.RATE / 60
        means = {name: round(float(np.mean(values)), 4) for name, values in self._sums.items()}
        self._sums = {}
        if held_out:
            means["held_out_wide"], means["held_out_low"] = (round(v, 4) for v in self.validate(held_out))
        line = {"step": self.step, "seconds": round(seconds), "minutes": round(minutes, 1), **means}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        say(", ".join(f"{name} {value}" for name, value in line.items()))


def _clip(one: Example, hops: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """(content, conditions, speaker, pulses, goal) of a stretch of one example in one view."""
    whole = len(one.sound) // shape.HOP
    view = one.views[int(rng.integers(len(one.views)))]
    begin = 2 * int(rng.integers(0, max(1, (whole - hops) // 2 + 1)))
    stop = begin + hops
    conditions = _padded(view.conditions[:, begin:stop], hops, axis=1).copy()
    conditions[0] += 0.06 * rng.normal()
    conditions[2] += 0.25 * rng.normal()
    flipped = rng.random(hops) < 0.02
    conditions[1, flipped] = 1 - conditions[1, flipped]
    content = _padded(view.content[begin // 2 : stop // 2].astype(np.float32), hops // 2)
    samples = slice(begin * shape.HOP, stop * shape.HOP)
    pulses, sound = (_padded(part[samples], hops * shape.HOP) for part in (one.pulses, one.sound))
    return content, conditions, np.int64(one.speaker), pulses, sound


def _padded(x: np.ndarray, size: int, axis: int = 0) -> np.ndarray:
    missing = size - x.shape[axis]
    if not missing:
        return x
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, missing)
    return np.pad(x, widths, mode="edge" if x.ndim > 1 else "constant")
