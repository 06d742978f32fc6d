"""Is it the GPU that failed? Told from what torch raises, without importing it."""

from __future__ import annotations

import sys

SIGNS = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "CUDNN_STATUS", "no CUDA-capable device", "device-side assert")


def gpu_trouble(error: BaseException) -> str:
    """ "ran out of memory", "was lost", or empty: something else, which ends the engine."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return ""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return "ran out of memory"
    lost = getattr(torch, "AcceleratorError", ())  # torch has it since 2.8
    if isinstance(error, lost) or any(sign in str(error) for sign in SIGNS):
        return "was lost"
    return ""


def release_gpu() -> None:
    """Gives back what torch keeps for later; harmless on a GPU that is gone."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.empty_cache()
    except RuntimeError as gone:
        if not gpu_trouble(gone):
            raise
