"""Runs the catalogue in the session and judges the recording of each fault.

    python -m testkit.faults.suite [--short] [--only WORD] [--name NAME] [--realtime] [--keep FOLDER]

Prints a JSON object per line: the judge on trial, then a row per fault. testkit/faults/enter.py runs and reads it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from rwc_daemon.errors import RwcError
from testkit.faults import voices
from testkit.faults.catalogue import FAULTS, Fault, healthy
from testkit.faults.loaded import allow_realtime
from testkit.faults.marked import RATE, clicks, holes, silences, unprocessed_samples
from testkit.faults.world import DEADLINE_S, World, until

HEALTHY_S = 1.5
AFTER_S = 1.0
SHOWS_S = 2.0  # by then a fault is heard, if it is to be heard at all
EARLY = RATE // 20  # what a recorder has not got yet when the fault happens


@dataclass(frozen=True)
class Row:
    """What one fault did to the recording."""

    fault: str
    unprocessed_samples: int
    silence_ms: float
    clicks: int
    """Jumps, and sound cut off or on."""
    holes: int
    """Cycles that the graph lost: see `marked.holes`."""
    cause_ms: float
    """How long the cause itself lasted."""
    node_back_ms: float
    """From the fault until RWC Mic was there again, as programs see it; not a number: it never went."""
    back_ms: float
    """From the fault to the last silence's end."""
    delay_before_ms: float
    delay_after_ms: float
    """Microphone to recorder, measured in the graph."""
    restarts_of_recorder: int
    """Its server died, so that it had to connect again."""
    told: str
    """The first sentence of the journal that says so."""
    trouble: str
    """Empty: all is well again."""


def one(world: World, fault: Fault, delay_before_ms: float, keep: Path | None = None) -> Row:
    recorder = world.recorder
    assert recorder
    recorder.forget()
    until(lambda: recorder.sounds(HEALTHY_S), "a healthy recording to begin with")
    begun, clock, lost = recorder.count, time.time(), recorder.lost
    start = time.monotonic()
    trouble = ""
    try:
        fault.inject(world)
    except (AssertionError, OSError, RwcError) as failed:
        trouble = str(failed) or repr(failed)
    cause_ms = 1000 * (time.monotonic() - start)
    trouble = trouble or await_voice(world)
    heard = recorder.since(begun - EARLY)
    normal = recorder.since(begun - round(HEALTHY_S * RATE))[: round(HEALTHY_S * RATE) - EARLY]
    gaps = silences(heard)
    told = world.told_since(clock)
    if keep:
        soundfile.write(keep / f"{fault.name.replace('/', ' ')}.wav", heard, RATE, subtype="FLOAT")
    return Row(
        fault=fault.name,
        unprocessed_samples=unprocessed_samples(heard),
        silence_ms=round(1000 * sum(gap.end - gap.begin for gap in gaps) / RATE, 1),
        clicks=clicks(heard, normal),
        holes=len(holes(heard, normal)),
        cause_ms=round(cause_ms),
        node_back_ms=world.node_back_ms(start),
        back_ms=round(max(0, 1000 * ((gaps[-1].end if gaps else 0) - EARLY) / RATE)),
        delay_before_ms=delay_before_ms,
        delay_after_ms=world.delay_ms() if not trouble else float("nan"),
        restarts_of_recorder=recorder.lost - lost,
        told=next((text for text in told if fault.told in text), ""),
        trouble=trouble,
    )


def await_voice(world: World) -> str:
    """Empty once the recorder hears an unbroken voice and the daemon has nothing to complain of."""
    assert world.recorder
    time.sleep(SHOWS_S)
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if world.recorder.sounds(AFTER_S) and healthy(world):
            return ""
        time.sleep(0.1)
    heard = world.recorder.since(world.recorder.count - RATE)
    loud = float(np.sqrt(np.mean(np.square(heard)))) if len(heard) else 0.0
    return f"after {DEADLINE_S:g} s: state {world.state()}, {world.statistics().get('fault_message')}, RMS {loud:.4f}"


def control(world: World) -> int:
    """The judge on trial: unprocessed voice samples found in a second of bypass."""
    assert world.recorder
    world.set("Mode", "bypass")
    time.sleep(1.5)
    heard = world.recorder.since(world.recorder.count - RATE)
    world.set("Mode", "convert")
    time.sleep(0.5)
    return unprocessed_samples(heard)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="", help="faults whose names contain this")
    parser.add_argument("--name", action="append", help="this fault; may be given several times")
    parser.add_argument("--realtime", action="store_true", help="audio may, as the harness was told")
    parser.add_argument("--keep", type=Path, help="where to leave the recordings, for whoever looks at a click")
    parser.add_argument("--after", default="", help="faults behind this one in the catalogue")
    options = parser.parse_args()
    names = [fault.name for fault in FAULTS]
    first = names.index(options.after) + 1 if options.after else 0
    chosen = [f for f in FAULTS[first:] if (f.short or not options.short) and options.only in f.name]
    chosen = [f for f in chosen if options.name is None or f.name in options.name]
    world = World(Path.home())
    try:
        if options.realtime:
            allow_realtime(world.home)
        world.start()
        voices.bring(world)
        judge(world, chosen, options.keep)
    finally:
        world.stop()


def judge(world: World, faults: Sequence[Fault], keep: Path | None = None) -> None:
    """Tells of the judge's trial, then of each fault. `keep`: a folder for the recordings."""
    tell({"control_of_48000": control(world)})
    delay_ms = world.delay_ms()
    for fault in faults:
        row = one(world, fault, delay_ms, keep)
        delay_ms = row.delay_after_ms
        tell(asdict(row))
        if row.trouble:
            print(world.log(), file=sys.stderr)
            world.heal()


def tell(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
