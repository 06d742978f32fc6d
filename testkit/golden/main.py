"""Every file of a folder to its check, found by what the file holds, and the printed report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from testkit.golden import content, live, offline, pitch, retrieval, synth
from testkit.golden.report import Golden, Line, Lines, NoArray

CHECKS: tuple[tuple[tuple[str, ...], Callable[[Golden], Lines]], ...] = (
    (("config", "phone", "noise_z"), synth.check),
    (("config", "phone", "noise_z_0"), synth.check),
    (("layer9", "layer12"), content.check),
    (("mel", "salience"), pitch.check_rmvpe),
    (("salience",), pitch.check_rmvpe_decode),
    (("latent", "top2_gap"), pitch.check_fcpe),
    (("pm_raw",), pitch.check_classic),
    (("coarse", "boundary_distance"), pitch.check_coarse),
    (("hubert", "index_file"), retrieval.check),
    (("highpassed",), offline.check_loudness),
    (("chunk_in_len",), offline.check_pipeline),
    (("wav16k", "inferred"), live.check_loop),
    (("model_wav",), live.check_splice),
    (("input_wav_tail",), live.check_monitor),
    (("y_self",), live.check_spectral_gate),
    (("a_1600",), live.check_phase_vocoder),
    (("pairs",), live.check_resample),
)


UNITS = {"absolute": "", "relative": " rel", "units": " units"}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-") or not Path(arguments[0]).is_dir():
        print("usage: tools/check_golden DIR [NAME ...]")
        return 2
    folder, wanted = Path(arguments[0]), arguments[1:]
    torch.set_num_threads(2)
    files = [path for path in sorted(folder.iterdir()) if not wanted or any(part in path.name for part in wanted)]
    bad = lines = 0
    for path in files:
        if path.suffix == ".npz":
            for line in _checked(path):
                lines += 1
                bad += not line.ok
        elif path.suffix not in (".pth", ".index", ".md"):
            print(f"{path.name:32s} not covered")
    print(f"{lines} comparisons, {bad} not ok")
    return 1 if bad or not lines else 0


def _checked(path: Path) -> list[Line]:
    """Prints the lines of one file as they come."""
    g = Golden(path)
    check = next((check for keys, check in CHECKS if all(key in g for key in keys)), None)
    if check is None:
        print(f"{path.stem:32s} not covered")
        return []
    began, done = time.perf_counter(), []
    try:
        for line in check(g):
            if isinstance(line, Line):
                done.append(line)
                print(_shown(path.stem, line), flush=True)
            else:
                print(f"{path.stem:32s} not compared: {line.text}")
    except NoArray as missing:
        lacking = Line(f"no array '{missing}' in the file", math.inf, math.inf, 0.0)
        done.append(lacking)
        print(_shown(path.stem, lacking), flush=True)
    print(f"{path.stem:32s} {time.perf_counter() - began:.1f} s", flush=True)
    return done


def _shown(file: str, line: Line) -> str:
    verdict = "ok" if line.ok else "NOT OK"
    limit = f"{line.limit:.0e}{UNITS[line.by]}"
    return f"{file:32s} {line.tap:34s} abs {line.error:9.2e}  rel {line.relative:9.2e}  limit {limit:9s} {verdict}"
