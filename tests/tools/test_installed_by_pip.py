"""`pip install .` in an environment without torch: every way to an RVC voice says which command brings it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from testkit.clean_environment import ROOT, checkout, clean, environment

VOICE = ROOT / "tests/golden/tiny_v2_40k_f0.pth"
TIMEOUT_S = 240


class Installed:
    """The environment, a home of its own and one second of sound."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.python = folder, folder / "venv/bin/python"
        self.env = clean(HOME=str(folder / "home"), XDG_RUNTIME_DIR=str(folder / "home"))
        self.env.pop("DBUS_SESSION_BUS_ADDRESS", None)

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        program = str(self.folder / "venv/bin" / command[0])
        return subprocess.run(
            [program, *command[1:]], env=self.env | env, cwd=self.folder, capture_output=True, text=True, check=False,
            timeout=TIMEOUT_S,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("installed")
    (folder / "home").mkdir()
    environment(folder / "venv", "torch", "faiss", "functorch", "onnx", "pyworld", "parselmouth", "praat")
    it = Installed(folder)
    done = it.run("python", "-m", "pip", "install", "--quiet", str(checkout(folder / "source")))
    assert done.returncode == 0, done.stderr
    soundfile.write(folder / "in.wav", 0.1 * np.sin(np.arange(48000) / 50), 48000)
    return it


@pytest.fixture(scope="module")
def cure(installed: Installed) -> str:
    return f"{installed.python} -m pip install 'rwc-daemon[rvc]'"


def test_import_says_what_else_is_needed(installed: Installed, cure: str) -> None:
    done = installed.run("rwcctl", "import", str(VOICE), "--name", "tiny one")
    assert done.returncode == 0, done.stderr
    assert f"missing: torch (RVC voices cannot speak without it): `{cure}`" in done.stdout


@pytest.mark.parametrize(
    "words",
    [("convert", "in.wav", "-o", "out.wav", "--model", str(VOICE)), ("convert", "in.wav", "-o", "out.wav", "--voice",
     "tiny-one"), ("bench", "tiny-one", "--seconds", "0.1")],
    ids=" ".join,
)  # fmt: skip
def test_each_way_says_what_to_install(installed: Installed, cure: str, words: tuple[str, ...]) -> None:
    if "tiny-one" in words:
        installed.run("rwcctl", "import", str(VOICE), "--name", "tiny one")
    done = installed.run("rwcctl", *words)
    assert done.returncode == 1
    said = (done.stdout + done.stderr).strip().splitlines()
    assert f"an RVC voice needs torch (extra 'rvc'): {cure}" in said[-1] or "bench" in words
    assert sum(cure in line for line in said) == 1, said


def test_from_python(installed: Installed, cure: str) -> None:
    story = f"from rwc_daemon import *\nwith StreamingConverter(ConversionConfig(model_path={str(VOICE)!r})): pass"
    done = installed.run("python", "-c", story)
    assert done.stderr.splitlines()[-1].endswith(f"an RVC voice needs torch (extra 'rvc'): {cure}")


def test_the_command_is_one_that_works(installed: Installed) -> None:
    """pip must take the name for what is installed, and ask for torch and nothing else: no index here has it."""
    done = installed.run("python", "-m", "pip", "install", "rwc-daemon[rvc]")
    assert done.returncode == 1
    assert "No matching distribution found for" in done.stderr
    assert "No matching distribution found for rwc" not in done.stderr


def test_built_in_voices_convert(installed: Installed) -> None:
    done = installed.run("rwcctl", "convert", "in.wav", "-o", "deep.wav", "--voice", "deep")
    assert done.returncode == 0, done.stderr
    assert len(soundfile.read(installed.folder / "deep.wav")[0]) == 48000


def test_doctor_names_system_packages(installed: Installed) -> None:
    done = installed.run("rwcctl", "doctor", PATH=str(installed.python.parent))
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert "not installed: pw-dump, pw-link, pw-cli, pw-metadata, pw-loopback, parec" in told
    assert "apt install pipewire-bin pulseaudio-utils" in told


def test_this_environment_has_torch_and_the_other_has_not(installed: Installed) -> None:
    assert installed.run("python", "-c", "import torch").returncode == 1
    assert str(installed.python) != sys.executable
