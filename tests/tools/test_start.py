"""tools/setup and tools/start as one types them, in copies of this checkout; tools/session where no logind runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testkit.clean_environment import ROOT, checkout, clean, environment

TIMEOUT_S = 240
MOUNT = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=clean(**env), capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Not pytest's own: a socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="rwc-"))
    yield folder
    shutil.rmtree(folder)


def test_a_session_without_logind(short_folder: Path) -> None:
    """WirePlumber 0.4 ends at once where its logind module is loaded and /run/systemd is empty."""
    if subprocess.run([*MOUNT, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    session = f"{ROOT}/tools/session"
    story = (
        f"mount -t tmpfs tmpfs /run/systemd && {session} start --dir {short_folder}/s && "
        f"{session} run --dir {short_folder}/s pw-metadata 0; {session} stop --dir {short_folder}/s"
    )
    done = run(*MOUNT, "sh", "-c", story)
    assert 'Found "default" metadata' in done.stdout, done.stderr


def test_what_is_needed_and_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    copy = checkout(tmp_path / "copy")
    environment(copy / ".venv", "rich", "torch", "faiss")
    nowhere = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    done = run(f"{copy}/tools/setup", RWC_TORCH="none", **nowhere)
    assert done.returncode == 1
    complaint = done.stderr.strip()
    assert len(complaint.splitlines()) == 1, complaint
    assert "the package server cannot be reached (Connection refused)" in complaint
    assert "rich" in Path(complaint.rpartition("log: ")[2].rstrip(")")).read_text()


def test_two_checkouts_and_what_was_left_out(tmp_path: Path) -> None:
    first, second = checkout(tmp_path / "first"), tmp_path / "second"
    environment(first / ".venv", "pyworld", "torch", "faiss", "functorch")
    second.mkdir()
    shutil.copytree(first / "tools", second / "tools")
    for name in ("rwc_daemon", "pyproject.toml", "setup.py", ".venv"):
        (second / name).symlink_to(first / name)
    home = tmp_path / "home"
    home.mkdir()

    def start(copy: Path, *words: str) -> str:
        done = run(f"{copy}/tools/start", *words, RWC_TORCH="none", HOME=str(home))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        told = start(first)
        assert [line for line in told.splitlines() if line.startswith("Left out: pyworld (pitch trackers harvest and")]
        assert "left out      pyworld" in told
        report = run(f"{first}/tools/start", "--run", "rwcctl", "doctor", HOME=str(home)).stdout
        assert "left out, so no pitch trackers harvest and dio: no release of pyworld" in report
        start(first, "--run", "rwcctl", "use", "robot")
        assert "voice 'robot'" in start(first, "--run", "rwcctl", "logs")
        start(first, "--run", "rwcctl", "import", str(ROOT / "tests/golden/tiny_v2_40k_f0.pth"), "--name", "ann")
        refused = run(f"{first}/tools/start", "--run", "rwcctl", "use", "ann", HOME=str(home))
        assert "an RVC voice needs torch (extra 'rvc'): " in refused.stderr
        assert "engine restarts 0" in start(first, "--run", "rwcctl", "status")

        assert "voice         deep" in start(second), "the other's choice"
        assert "voice 'robot'" not in start(second, "--run", "rwcctl", "logs")
        start(second, "--stop")
        assert "voice         robot" in start(first, "--run", "rwcctl", "status"), "stopped with the other"
        start(first, "--stop")
        assert "voice         robot" in start(first), "its choice is forgotten"
    finally:
        start(first, "--stop")
        start(second, "--stop")
