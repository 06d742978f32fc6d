"""The backends, best first: between two that are equally fast the first runs a layer."""

from __future__ import annotations

from rwc_daemon.voices.backends.base import Backend
from rwc_daemon.voices.backends.matrix_unit import MatrixUnit
from rwc_daemon.voices.backends.onednn import OneDnn

BACKENDS: tuple[Backend, ...] = (
    MatrixUnit(weight_bits=8),
    MatrixUnit(),
    OneDnn(),
)
