"""Teaches the streaming content encoder to hear what the recogniser hears that sees the whole clip."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

from rwc_daemon.plan import RATE_16K
from rwc_daemon.voices.light import shape
from rwc_daemon.voices.light.training import sentences
from rwc_daemon.voices.light.training.augment import changed
from rwc_daemon.voices.light.training.corpus import read
from rwc_daemon.voices.light.training.nets import Content, state_of

RATE, WARM_UP = 3e-4, 50
BATCH, FRAMES = 4, 150
UNJUDGED = 4  # frames at the beginning of a clip: their past is missing
PHONE_WEIGHT, BEND = 0.05, 0.5
POOL, KEEP_STEPS = 900, 3
ESPEAK_SHARE = 0.15
ACCENTS, WHO = ("us", "gb", "gb-scotland"), ("m1", "m3", "m7", "f2", "f4")
Say = Callable[[str], None]
Clip = tuple[np.ndarray, np.ndarray, np.ndarray]


def distil(
    net: Content,
    full: Content,
    corpus: Path,
    to: Path,
    seconds: float,
    seed: int = 1,
    say: Say = print,
    begin_with: int = 60,
) -> None:
    """Trains `net` for so long on clips of the corpus and of eSpeak, and saves it to the file `to` now and then.
    `begin_with`: clips made before the first step."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    clips = _clips(full, corpus, rng)
    pool = [next(clips) for _ in range(begin_with)]
    spread = torch.from_numpy(np.concatenate([clip[1] for clip in pool]).astype(np.float32).std(0) + 1e-3)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, (0.9, 0.98), weight_decay=1e-3)
    begun, step, seen = time.monotonic(), 0, []
    while (passed := time.monotonic() - begun) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * max(0.05, 1 - passed / seconds)
        loss = _loss(net, [pool[int(rng.integers(len(pool)))] for _ in range(BATCH)], spread, rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        seen.append(loss.item())
        if len(pool) < POOL or step % KEEP_STEPS == 0:
            pool = [*pool[-POOL + 1 :], next(clips)]
        if step % 100 == 0:
            say(f"content step {step}, {passed:.0f} s, loss {np.mean(seen):.3f}, pool {len(pool)}")
            seen = []
            _save(net, to)
    _save(net, to)


def likeness(net: Content, full: Content, x_16k: np.ndarray) -> tuple[float, ...]:
    """The mean cosine to the full net in each block that is taken, over one clip."""
    x = torch.from_numpy(x_16k)[None]
    with torch.inference_mode():
        own, goal = net(net.log_mel(x))[0], full(full.log_mel(x))[0]
    found = []
    for n in shape.TAKEN:
        middle = goal[n].mean(1, keepdim=True)
        found.append(F.cosine_similarity(own[n] - middle, goal[n] - middle, dim=-1).mean().item())
    return tuple(found)


def _loss(net: Content, clips: list[Clip], spread: Tensor, rng: np.random.Generator) -> Tensor:
    mels, goals, scores = [], [], []
    for mel, goal, score in clips:
        begin = int(rng.integers(0, max(1, len(goal) - FRAMES)))
        mels.append(_cut(mel.T, 2 * begin, 2 * FRAMES).T)
        goals.append(_cut(goal, begin, FRAMES))
        scores.append(_cut(score, begin, FRAMES))
    heard, wanted, phones = (torch.from_numpy(np.stack(parts)) for parts in (mels, goals, scores))
    results, own = net(heard)
    error = ((torch.cat([results[n] for n in shape.TAKEN], -1) - wanted) / spread)[:, UNJUDGED:]
    apart = F.kl_div(F.log_softmax(own[:, UNJUDGED:], -1), phones[:, UNJUDGED:], log_target=True, reduction="none")
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=BEND) + PHONE_WEIGHT * apart.sum(-1).mean()


def _cut(x: np.ndarray, begin: int, size: int) -> np.ndarray:
    part = x[begin : begin + size].astype(np.float32)
    return np.pad(part, ((0, size - len(part)), (0, 0)), mode="edge")


def _clips(full: Content, corpus: Path, rng: np.random.Generator) -> Iterator[Clip]:
    """Without end: changed speech, and what the full net hears in it."""
    paths = sorted(corpus.glob("[0-9]*.json"))
    while True:
        if rng.random() < ESPEAK_SHARE:
            sound = _espeak(rng)
        else:
            item = read(paths[int(rng.integers(len(paths)))])
            sound = soxr.resample(item.source if rng.random() < 0.7 else item.target, shape.RATE, RATE_16K)
        x = torch.from_numpy(changed(sound, rng)[0])[None]
        with torch.inference_mode():
            mel = full.log_mel(x)
            results, scores = full(mel)
            goal = torch.cat([results[n] for n in shape.TAKEN], -1)
            phones = F.log_softmax(scores, -1)
        arrays = (mel[0].numpy(), goal[0].numpy(), phones[0].numpy())
        yield tuple(array.astype(np.float16) for array in arrays)  # type: ignore[misc]


def _espeak(rng: np.random.Generator) -> np.ndarray:
    voice = f"en-{rng.choice(ACCENTS)}+{rng.choice(WHO)}"
    speed, height = str(rng.integers(120, 210)), str(rng.integers(10, 80))
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        text = sentences.draw(rng).text
        subprocess.run(["espeak-ng", "-v", voice, "-s", speed, "-p", height, "-w", file.name, "--", text], check=True)
        y, rate = soundfile.read(file.name, dtype="float32")
    return np.asarray(soxr.resample(y, rate, RATE_16K), np.float32)


def _save(net: Content, to: Path) -> None:
    part = to.with_suffix(".part")
    save_file(state_of(net), part)
    part.replace(to)
