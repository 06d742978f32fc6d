"""Who aligns video sets one latency: through real servers it stays, whatever block a voice wants."""

from __future__ import annotations

from pathlib import Path

from rwc_daemon.store.voices import VoiceStore
from testkit.makers import make_assets, make_index, make_voice
from testkit.running import Running, running_daemon

TOTAL_MS = 700.0


def prepare(running: Running, files: Path) -> None:
    (running.folder / "config" / "rwc").mkdir(parents=True)
    (running.folder / "config" / "rwc" / "config.toml").write_text(f"[audio]\nconstant_latency_ms = {TOTAL_MS}\n")
    data = running.folder / "data" / "rwc"
    make_assets(data / "assets", names=("contentvec",))
    VoiceStore(data / "voices").bring_in([make_voice(files, name="small"), make_index(files, 768)])


def test_it_stays_while_blocks_change(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    with running_daemon(tmp_path, quantum=128, prepare=lambda running: prepare(running, files)) as daemon:
        daemon.json("set", "envelope", "1")  # random weights say nothing: the loudness carries the bursts
        blocks_ms = set()
        for voice in ("deep", "small"):
            daemon.json("use", voice)
            found = daemon.json("latency")
            assert abs(found["sum_ms"] - TOTAL_MS) <= found["quantum_ms"], found
            assert abs(found["measured_ms"] - found["sum_ms"]) <= found["quantum_ms"], found
            blocks_ms.add(found["parts_ms"]["block"])
        assert len(blocks_ms) == 2
