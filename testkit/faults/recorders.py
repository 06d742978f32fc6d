"""Four programs beside each other on RWC Mic: three that named it, and one that its user moved there in a mixer."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from testkit.faults.noise import SILENT, unprocessed
from testkit.faults.world import BACK_S, MIC, run, until

MOVED = "moved by hand"
STREAM = "Stream/Input/Audio"
SETTLED_S = 0.5  # after a move: what was recorded before it has come in
WAV_DATA = b"data"  # what stands 4 bytes before a wav's samples


class Heard:
    """One program that records; where its server dies it comes back as such programs do."""

    def __init__(self, name: str, rate: int, command: Sequence[str], file: Path | None = None) -> None:
        """`command` writes f32 to stdout, or a wav to `file`."""
        self.name, self.rate = name, rate
        self._command, self._file = command, file
        self._bytes = bytearray()
        self._before = 0
        # bytes of files that ended
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_recording, name=name, daemon=True)
        self.process: subprocess.Popen[bytes] | None = None
        self._thread.start()

    def _keep_recording(self) -> None:
        while not self._stopping.is_set():
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
            assert self.process.stdout
            while chunk := self.process.stdout.read(8192):
                self._bytes += chunk
            self.process.wait()
            self.process.stdout.close()
            if self._file and self._file.exists():
                self._bytes += self._of_file()
                self._file.unlink()
            self._stopping.wait(BACK_S)

    def _of_file(self) -> bytes:
        assert self._file
        with suppress(FileNotFoundError):
            content = self._file.read_bytes()
            begin = content.find(WAV_DATA)
            return content[begin + 8 :] if begin > 0 else b""
        return b""

    def begin_file(self) -> None:
        """Records on into a new file: a quarter of an hour in one fills the session's disk, and WirePlumber forgets."""
        if self._file and self.process:
            self.process.terminate()

    @property
    def samples(self) -> np.ndarray:
        """f32[n] @rate, all so far."""
        data = bytes(self._bytes) + (self._of_file() if self._file else b"")
        return np.frombuffer(data[: len(data) // 4 * 4], np.float32)

    def sounds(self, seconds: float) -> bool:
        """Whether most of the newest `seconds` is sound."""
        n = round(seconds * self.rate)
        newest = self.samples[-n:]
        return len(newest) == n and float(np.mean(np.abs(newest) > SILENT)) > 0.9

    def stop(self) -> None:
        self._stopping.set()
        if self.process:
            self.process.kill()
        self._thread.join()


def pulse(name: str, source: str, rate: int) -> list[str]:
    """A program; without a `source` it records the default, or what its user gave it last time."""
    client = [f"--client-name={name}", f"--rate={rate}"]
    return [
        "parec",
        *(["-d", source] if source else []),
        "--latency-msec=20",
        "--format=float32le",
        "--channels=1",
        *client,
    ]


class Four:
    """All of them; `stop` ends them."""

    def __init__(self, folder: Path) -> None:
        file = folder / "pw-record.wav"
        native = ["pw-record", "--target", "rwc_mic", "--format", "f32", "--channels", "1", "--rate", "48000"]
        self.moved = Heard(MOVED, 48000, pulse("moved", "", 48000))
        self.all = (
            Heard("parec 48 kHz", 48000, pulse("named48", "rwc_mic", 48000)),
            Heard("parec 44.1 kHz", 44100, pulse("named44", "rwc_mic", 44100)),
            Heard("pw-record", 48000, [*native, str(file)], file),
            self.moved,
        )
        until(lambda: self.moved.sounds(0.3), "the recorder that will be moved")
        self.move()
        self.await_sound()

    def move(self, source: str = "rwc_mic") -> None:
        """As a user does it in a mixer. It may have to be said again: PipeWire 0.3.65 passes such a word on to the
        session manager only when it has something else to pass on as well."""

        def moved() -> bool:
            run("pactl", "move-source-output", index_of("moved"), source)
            run("pw-cli", "info", "0")
            time.sleep(0.1)
            return source_of("moved") == source

        until(lambda: index_of("moved"), "the stream to be moved")
        until(moved, f"the recorder moved to {source}")

    def move_again(self) -> None:
        """From the microphone to RWC Mic by hand: so every event finds it as its user left it."""
        for one in self.all:
            one.begin_file()
        for source in (MIC, "rwc_mic"):
            self.move(source)
        time.sleep(SETTLED_S)

    def begin_again(self) -> None:
        """The one that was moved ends and records again; the session manager gives it the number of the node that now
        bears the name it remembers: of RWC Mic itself, not of a standby, for this test."""
        old = index_of("moved")
        assert self.moved.process
        self.moved.process.terminate()
        until(lambda: index_of("moved") not in ("", old) and source_of("moved"), "a new stream of the moved program")
        stream, node = node_ids("moved", STREAM)[0], node_ids("rwc_mic", "Audio/Source")[0]

        def sent() -> bool:
            run("pw-metadata", "--", stream, "target.node", node, "Spa:Id")
            run("pw-cli", "info", "0")
            time.sleep(0.1)
            return [stream] == readers_of(node, "moved")

        until(sent, "the new stream at RWC Mic")

    def await_sound(self) -> None:
        """Until all hear RWC Mic, and nothing but RWC Mic."""
        for one in self.all:
            until(lambda one=one: one.sounds(0.5), f"sound at '{one.name}'")

    def mark(self) -> dict[str, int]:
        return {one.name: len(one.samples) for one in self.all}

    def unprocessed_since(self, marks: dict[str, int]) -> dict[str, int]:
        """How many samples of each are the microphone's own."""
        heard = [(one, one.samples[marks[one.name] :]) for one in self.all]  # first, since judging takes its time
        return {one.name: int(unprocessed(samples, one.rate).sum()) for one, samples in heard}

    def sources(self) -> dict[str, str]:
        """Which node each stream hears, by the names of its links."""
        return {name: source_of(name) for name in ("named48", "named44", "pw-record", "moved")}

    def stop(self) -> None:
        for one in self.all:
            one.stop()


def index_of(client: str) -> str:
    """Of a stream of the PulseAudio server, by its program's name."""
    outputs = json.loads(run("pactl", "--format=json", "list", "source-outputs") or "[]")
    return next((str(o["index"]) for o in outputs if o["properties"].get("application.name") == client), "")


def objects() -> list[dict[str, Any]]:
    """What is in the graph; what changes meanwhile is printed as another list, without what it was before."""
    found: dict[int, dict[str, Any]] = {}
    text = run("pw-dump").lstrip()
    while text:
        batch, end = json.JSONDecoder().raw_decode(text)
        found |= {each["id"]: each for each in batch}
        text = text[end:].lstrip()
    return [each for each in found.values() if each.get("info")]


def node_ids(name: str, media_class: str, path: str | None = None) -> list[str]:
    """Ids of nodes; `path`: only those that the session manager finds by it, too."""
    known = [(str(o["id"]), (o.get("info") or {}).get("props") or {}) for o in objects()]
    alike = [(i, p) for i, p in known if p.get("node.name") == name and p.get("media.class") == media_class]
    return [i for i, p in alike if path is None or str(p.get("object.path")) == path]


def readers_of(node: str, name: str) -> list[str]:
    """Ids of the streams of that name that a node is linked to."""
    links = [o["info"] for o in objects() if o["type"].endswith(":Link")]
    return [
        i
        for i in node_ids(name, STREAM)
        if any(str(k["output-node-id"]) == node and str(k["input-node-id"]) == i for k in links)
    ]


def source_of(node: str) -> str:
    """The node that the first input of `node` is linked to; empty: none."""
    lines = run("pw-link", "-l", "-i").splitlines()
    for at, line in enumerate(lines):
        if line.startswith(f"{node}:") and at + 1 < len(lines) and "|<-" in lines[at + 1]:
            return lines[at + 1].partition("|<-")[2].strip().partition(":")[0]
    return ""


def target_of(node: str) -> str:
    """What the session manager was told of the stream `node`, as its metadata say; empty: nothing."""
    return next((target for stream in node_ids(node, STREAM) if (target := told_of(stream))), "")


def told_of(stream: str) -> str:
    lines = run("pw-metadata", stream).splitlines()
    return next((line for line in lines if "key:'target.object'" in line), "")
