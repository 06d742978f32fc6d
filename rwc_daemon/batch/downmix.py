"""Several channels into one voice: their mean, unless that would lose the voice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwc_daemon.voices.base import Samples

SILENT_DB = -40.0  # below the loudest channel: holds no sound of its own
CANCELLED_DB = -10.0  # the mean against its channels: they are of opposite phase


def downmix(pieces: Sequence[np.ndarray]) -> tuple[Samples, str]:
    """f32[n, channels] pieces → (f32[n], what is worth saying about it: empty where it is their mean)."""
    channels = pieces[0].shape[1]
    if channels == 1:
        return np.concatenate([piece[:, 0] for piece in pieces]), ""
    energies = sum(np.einsum("nc,nc->c", piece, piece, dtype=np.float64) for piece in pieces)
    heard = [c for c in range(channels) if energies[c] > energies.max() * 10 ** (SILENT_DB / 10)]
    if not heard or not np.isfinite(energies).all():
        heard = list(range(channels))
    x = np.concatenate([_mean(piece, heard) for piece in pieces])
    mixed = float(np.einsum("n,n->", x, x, dtype=np.float64))
    if len(heard) > 1 and mixed < energies[heard].mean() * 10 ** (CANCELLED_DB / 10):
        loudest = int(np.argmax(energies))
        name = _name(loudest, channels)
        return _alone(pieces, loudest), f"its channels cancel each other out (opposite phase): the {name} one was taken"
    if len(heard) == 1 < channels:
        return x, f"only its {_name(heard[0], channels)} channel holds sound: it alone was taken"
    if len(heard) < channels:
        return x, f"only {len(heard)} of its {channels} channels hold sound: they alone were mixed"
    return x, ""


def _mean(piece: np.ndarray, channels: list[int]) -> np.ndarray:
    if len(channels) == 1:
        return piece[:, channels[0]]
    return piece.mean(axis=1) if len(channels) == piece.shape[1] else piece[:, channels].mean(axis=1)


def _alone(pieces: Sequence[np.ndarray], channel: int) -> Samples:
    return np.concatenate([piece[:, channel] for piece in pieces])


def _name(channel: int, channels: int) -> str:
    return ("left", "right")[channel] if channels == 2 else f"{channel + 1}."
