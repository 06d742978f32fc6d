"""What nets are told of the CPU, and what the user may hold them to."""

import os
import subprocess
import sys

import pytest

from rwc_daemon.voices import cpu

CODE = """
from rwc_daemon.voices import cpu
import os
from rwc_daemon.voices.rvc.voice import choose_precision
assert not cpu.has_bf16_units()
assert choose_precision("cpu", "auto") == "float32"
print(os.environ["MKL_ENABLE_INSTRUCTIONS"], os.environ["ONEDNN_MAX_CPU_ISA"], os.environ["ATEN_CPU_CAPABILITY"])
"""


def test_held_to_avx2_everything_that_nets_call_is_held():
    pytest.importorskip("torch")
    told = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {cpu.LIMIT: "avx2"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.split() == ["AVX2", "AVX2", "avx2"]


def test_matrix_units_count_unless_the_user_holds_dispatch(monkeypatch):
    monkeypatch.setattr(cpu, "flags", lambda: {"avx2", "amx_bf16"})
    monkeypatch.delenv(cpu.LIMIT, raising=False)
    assert cpu.has_bf16_units()
    monkeypatch.setenv(cpu.LIMIT, "avx2")
    assert not cpu.has_bf16_units()
