"""Speech with known text, and what a recogniser made of it: for the tools that judge voices."""

from __future__ import annotations

import gzip
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from rwc_daemon.dsp.resample import resample

SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
RATE_16K = 16000
LONGEST_WORDS = 22


def sentences(count: int) -> list[tuple[str, str]]:
    """(file name, text) of whole sentences without numbers or brackets, spread over the package."""
    lines = [line.split(": ", 1) for line in gzip.decompress(TEXTS.read_bytes()).decode().splitlines()]
    pairs = [(name, text) for name, text in (line for line in lines if len(line) == 2)]
    fit = [
        (name, text)
        for name, text in pairs
        if 6 <= len(text.split()) <= LONGEST_WORDS and not re.search(r"[\d\[\]()#*/]", text)
        if (SOUNDS / f"{name}.g722").exists()
    ]
    return [fit[i] for i in np.linspace(0, len(fit) - 1, count).astype(int)]


def woman(name: str, text: str) -> np.ndarray:
    """f32 @RATE_16K."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "g722",
        "-i",
        str(SOUNDS / f"{name}.g722"),
        "-f",
        "f32le",
        "-ac",
        "1",
        "-",
    ]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)


def man(name: str, text: str) -> np.ndarray:
    """f32 @RATE_16K."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", "rms", "-t", text, "-o", file.name], check=True, capture_output=True)
        x, rate = soundfile.read(file.name, dtype="float32")
    return resample(x, rate, RATE_16K)


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower().replace("-", " ")).split()


def errors(said: list[str], heard: list[str]) -> int:
    """Words to change, add or leave out."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said):
        before, row = row, [i + 1]
        for j, other in enumerate(heard):
            row.append(min(before[j] + (word != other), before[j + 1] + 1, row[j] + 1))
    return row[-1]


def word_error(said: list[str], heard: list[str]) -> float:
    """Share of all words, in per cent."""
    wrong = sum(errors(words(a), words(b)) for a, b in zip(said, heard, strict=True))
    return 100 * wrong / sum(len(words(a)) for a in said)
