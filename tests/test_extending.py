"""The worked examples of docs/extending.md, put into a copy of the package and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(encoding="utf-8"), flags=re.S)
# where a table's rows begin
BEGINS = {
    "FAMILIES": r"^FAMILIES: .*?\{\n",
    "TRACKERS": r"^TRACKERS: .*?\{\n",
    "Controls": r'^class Controls:\n    """.*?"""\n\n',
    "CAUSES": r"^CAUSES: .*?= \(\n",
    "rwc_daemon.control.silence import": r"^from rwc_daemon\.control\.silence import \(\n",
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "rwc_daemon", folder / "rwc_daemon", ignore=shutil.ignore_patterns("__pycache__"))
    for block in BLOCKS:
        head, _, body = block.partition("\n")
        row = re.match(r"# ROW in (\S+), (.+)", head)
        if row is None:
            path = folder / head.removeprefix("# ")
            path.parent.mkdir(exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(body)
            continue
        path = folder / row[1]
        text, found = re.subn(BEGINS[row[2]], lambda m, body=body: m[0] + body, path.read_text(), count=1, flags=re.M)
        assert found == 1, head
        path.write_text(text)
    return folder


def ran(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_kind_of_example_is_there() -> None:
    heads = [block.partition("\n")[0] for block in BLOCKS]
    assert {name for name in BEGINS if any(head.endswith(f", {name}") for head in heads)} == set(BEGINS)


def test_a_family(extended: Path) -> None:
    code = """if True:
        from pathlib import Path
        import numpy as np
        from rwc_daemon.controls import Controls
        from rwc_daemon.conversion.offline import OfflineConverter
        from rwc_daemon.conversion.stream import Stream
        from rwc_daemon.plan import Block, Plan
        from rwc_daemon.voices.repository import VoiceRepository
        repository = VoiceRepository(Path("data"))
        assert "tunnel" in [voice.id for voice in repository.list()]
        voice = repository.load("tunnel")
        x = np.zeros(48000, np.float32)
        x[4800:4805] = 0.5
        controls = Controls(gate_db=-90)
        whole = Stream(voice, Plan.offline(48000, Block(50)), controls)
        cut = Stream(voice, Plan.offline(48000, Block(50)), controls)
        y = np.concatenate([whole.feed(x), whole.flush()])[whole.delay :]
        z = np.concatenate([cut.feed(x[:77]), cut.feed(x[77:]), cut.flush()])[cut.delay :]
        assert np.array_equal(y, z)
        peaks = [float(np.abs(y[n : n + 40]).max()) for n in (4790, 9590, 14390)]
        assert 0.45 < peaks[1] / peaks[0] < 0.55 and 0.45 < peaks[2] / peaks[1] < 0.55, peaks
        with OfflineConverter(voice, 48000, controls) as converter:
            converter.convert_chunk(x)
            assert len(converter.flush()) == len(x)
        print("heard")
    """
    assert ran(extended, code) == "heard"


def test_a_tracker(extended: Path) -> None:
    code = """if True:
        import numpy as np
        from rwc_daemon.controls import CHOICES, Controls
        from rwc_daemon.voices.f0.registry import available, open_tracker
        from rwc_daemon.voices.quality_ladder import ladder
        class Nothing:
            has = staticmethod(lambda name: False)
        assert "amdf" in CHOICES["f0_method"] and available(Nothing)["amdf"] == ""
        t = np.arange(16000) / 16000
        x = sum(np.sin(2 * np.pi * 125 * k * t) / k for k in range(1, 8)).astype(np.float32) * 0.1
        f0 = open_tracker("amdf", Nothing).track(x)
        assert len(f0) == 101 and abs(np.median(f0) - 125) < 2, np.median(f0)
        assert not open_tracker("amdf", Nothing).track(np.zeros(16000, np.float32)).any()
        assert [step.f0_method for step in ladder(Controls(f0_method="amdf"), True)][-1] == "yin"
        print("tracked")
    """
    assert ran(extended, code) == "tracked"


def test_a_control(extended: Path) -> None:
    code = """if True:
        from rwc_daemon.controls import REMEMBERED, Controls, changed
        from rwc_daemon.faces.cli.main import whole_parser
        from rwc_daemon.faces.dbus_types import PROPERTIES, WRITABLE
        assert PROPERTIES["Breath"] == "d" and "Breath" in WRITABLE and "breath" in REMEMBERED
        assert changed(Controls(), {"Breath": "0.7"}).breath == 0.7
        options = whole_parser().parse_args(["convert", "a.wav", "-o", "b.wav", "--breath", "0.2"])
        assert float(options.breath) == 0.2
        print("turned")
    """
    assert ran(extended, code) == "turned"


def test_a_cause_of_silence(extended: Path) -> None:
    code = """if True:
        from rwc_daemon.control.silence.observed import Observed
        from rwc_daemon.control.silence.table import first
        print(first(Observed(mode="bypass")).message)
    """
    assert "rwcctl mode convert" in ran(extended, code)
