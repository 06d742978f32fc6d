"""The reference's figures, within the limits of the specification's section 11, through tools/check_golden's checks."""

from pathlib import Path

import numpy as np
import pytest

from testkit.golden import content, live, synth
from testkit.golden.main import main
from testkit.golden.report import Golden

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {
    "tiny_v2_40k_f0": synth.check,
    "tiny_v1_48k_nof0": synth.check,
    "tiny_v2_32k_f0_rb2": synth.check,
    "synth_v2_40k_f0": synth.check,
    "tiny_hubert": content.check,
    "sola_44100_xf10": live.check_splice,
}


@pytest.mark.parametrize("name", FILES)
def test_every_output_and_tap_is_the_reference_s(name):
    lines = list(FILES[name](Golden(GOLDEN / f"{name}.npz")))
    assert len(lines) >= 5
    assert [line for line in lines if not line.ok] == []


def test_a_wrong_figure_is_found(tmp_path, capsys):
    with np.load(GOLDEN / "sola_44100_xf10.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["output"] = arrays["output"] + np.float32(1e-3)
    np.savez(tmp_path / "sola_wrong.npz", **arrays)
    assert main([str(tmp_path)]) == 1
    assert "NOT OK" in capsys.readouterr().out
    assert main([str(GOLDEN), "sola_"]) == 0
    assert main([str(tmp_path / "nowhere")]) == 2


def test_a_file_that_lacks_an_array_is_reported_and_the_others_are_checked(tmp_path, capsys):
    with np.load(GOLDEN / "sola_44100_xf10.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(tmp_path / "sola_b.npz", **arrays)
    del arrays["sola_buffer_after"]
    np.savez(tmp_path / "sola_a.npz", **arrays)
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().out.splitlines()
    lacking = [line for line in said if "NOT OK" in line]
    assert [line.split()[0] for line in lacking] == ["sola_a"]
    assert "no array 'sola_buffer_after' in the file" in lacking[0]
    assert any(line.startswith("sola_b") and "sola_buffer_after" in line and line.endswith(" ok") for line in said)
