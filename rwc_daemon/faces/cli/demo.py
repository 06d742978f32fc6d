"""`rwcctl demo`: a sentence through the whole path, to hear and to look at."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwc_daemon.errors import BadAudio, MissingPackage, NotReady, RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import RunningDaemon, connected

if TYPE_CHECKING:
    from rwc_daemon.faces.cli.latency import Measured
    from rwc_daemon.faces.cli.through import Line
    from rwc_daemon.voices.base import Samples

LOAD_TIMEOUT_S = 120.0
REST_S = 0.6  # silence after the sentence: what the voice still holds back


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "demo",
        description="Plays a spoken sentence into the daemon as if it were your microphone, records RWC Mic as an "
        "application would, and writes in.wav, out.wav and demo.png (both spectrograms with pitch). Whoever listens "
        "to RWC Mic hears the sentence instead of you for about 15 s; input and voice are put back afterwards.",
    )
    parser.add_argument("--voice", metavar="V", help="with this voice (default: the one in use)")
    parser.add_argument("--play", action="store_true", help="then play out.wav on the default output")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("."), help="where to write (default: here)"
    )


def run(args: argparse.Namespace) -> int:
    from rwc_daemon.faces.cli.through import open_line, scratch

    prepare(args.output)
    player = find_player() if args.play else ""
    with connected() as daemon, scratch() as folder:
        before = daemon.properties()["Voice"]
        if not args.json:
            print("RWC Mic takes a sentence instead of your microphone for about 15 s …", flush=True)
        try:
            if args.voice:
                daemon.use(args.voice, LOAD_TIMEOUT_S)
            with open_line(daemon, folder) as line:
                done = perform(daemon, line, args.output)
        finally:
            if args.voice and before:
                put_back_voice(daemon, before)
    report(args, done)
    if player:
        play(player, Path(done["files"][1]))
    return 0


def find_player() -> str:
    """Raises MissingPackage."""
    found = shutil.which("paplay") or shutil.which("pw-play")
    if found is None:
        raise MissingPackage("paplay is not installed: it comes with pulseaudio-utils (Arch: libpulse)")
    return found


def play(player: str, file: Path) -> None:
    """Raises NotReady where there is no output that plays."""
    done = subprocess.run([player, str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr.strip().splitlines() or ["it says nothing"])[-1].split())
        raise NotReady(f"{file} could not be played ({said}): is there an output? `pactl list short sinks` shows them")


def prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as no:
        raise BadAudio(f"cannot write to {folder}: {no.strerror}; choose another folder with -o") from no


def perform(daemon: RunningDaemon, line: Line, folder: Path) -> dict[str, Any]:
    import numpy as np

    from rwc_daemon.faces.cli.latency import measure
    from rwc_daemon.faces.sentence import sentence

    found = measure(daemon, line)
    spoken = np.pad(sentence(line.rate), (0, round(REST_S * line.rate)))
    heard = line.round_trip(spoken)
    if line.recorder:
        heard = line.recorder.same_stretch(heard)
    files = save(folder, spoken, heard, line.rate, found)
    return {"files": [str(file) for file in files], "latency": asdict(found)}


def save(folder: Path, spoken: Samples, heard: Samples, rate: int, found: Measured) -> list[Path]:
    """in.wav, out.wav, demo.png; out.wav begins with in.wav's first sample, so that it lags by the latency."""
    import soundfile

    from rwc_daemon.faces.picture import draw_demo

    files = [folder / name for name in ("in.wav", "out.wav", "demo.png")]
    try:
        soundfile.write(files[0], spoken, rate, subtype="PCM_16")
        soundfile.write(files[1], heard, rate, subtype="PCM_16")
        draw_demo(files[2], spoken, heard, rate, f"RWC Mic, voice “{found.voice}”", found.measured_ms)
    except (OSError, soundfile.LibsndfileError) as no:
        raise BadAudio(f"cannot write to {folder}: {no}; choose another folder with -o") from no
    return files


def put_back_voice(daemon: RunningDaemon, voice: str) -> None:
    """Queued, not waited for: the old voice plays until the user's own is ready again."""
    with suppress(RwcError):
        daemon.call("LoadVoice", voice)


def report(args: argparse.Namespace, done: dict[str, Any]) -> None:
    if args.json:
        show.as_json(done)
        return
    latency = done["latency"]
    for file in done["files"]:
        show.line("wrote", file)
    show.line("voice", latency["voice"])
    show.line("latency", f"{latency['measured_ms']:.1f} ms measured (sum of parts {latency['sum_ms']:.1f} ms)")
