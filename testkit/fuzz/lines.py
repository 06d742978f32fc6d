"""Strange lines on the channel between daemon and engine, at both ends.

A line is a message or it is not; an engine that hears what is none ends, and one that goes on must still answer.
"""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import (
    KINDS,
    BadMessage,
    Configure,
    LoadVoice,
    Quit,
    SetControls,
    SetSlack,
    Suspend,
    VoiceFailed,
    VoiceOn,
    WatchPitch,
    decode,
    encode,
)
from testkit.engine_process import FIRST, StartedEngine
from testkit.fuzz.account import Account
from testkit.fuzz.files import VALUES
from testkit.import_fuzzer import spoil

DOWN = (
    Configure(48000, 256),
    SetSlack(0, 0, 0),
    LoadVoice("deep"),
    SetControls({"pitch": 2.0}),
    Suspend(),
    WatchPitch(True),
)
RIGHT = {"int": 3, "float": 0.5, "str": "deep", "bool": True, "dict[str, Any]": {"pitch": 1.0}}
TYPED: dict[str, tuple[Any, ...]] = {
    "int": (0, -1, 1, 7, 256, 8192, 44100, 48000, 192000, 10**6, -(10**6)),
    "float": (0.0, -1.0, 1e9, float("nan"), float("inf"), 10.0),
    "str": ("", "deep", "giant", "no such voice", "../deep", "\x00", "é" * 1000),
    "bool": (True, False),
    "dict[str, Any]": ({}, {"pitch": 99}, {"no": 1}, {"pitch": None}, {"f0_method": "yin"}, {"pitch": -3.0}),
}
ENGINE_S = 30.0
LINES_A_LIFE = 4


class Lines:
    """Good messages, damaged in their bytes or in one of their values."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def any(self) -> bytes:
        kind = self.dice.choice(list(KINDS.values()))
        values = {one.name: RIGHT[str(one.type)] for one in dataclasses.fields(kind)}
        return self.damaged({"is": kind.__name__, **values})

    def down(self) -> bytes:
        """To the engine; one half are messages whose values no daemon would send."""
        message = self.dice.choice(DOWN)
        parts = {"is": type(message).__name__, "stream": FIRST, **dataclasses.asdict(message)}
        if self.dice.random() < 0.5:
            return self.damaged(parts)
        for one in dataclasses.fields(message):
            parts[one.name] = self.dice.choice(TYPED[str(one.type)])
        return json.dumps(parts).encode() + b"\n"

    def damaged(self, parts: dict[str, Any]) -> bytes:
        way = self.dice.random()
        if way < 0.3:
            parts[self.dice.choice(list(parts))] = self.dice.choice(VALUES)
        elif way < 0.4:
            parts.pop(self.dice.choice(list(parts)))
        elif way < 0.5:
            parts["new"] = self.dice.choice(VALUES)
        line = json.dumps(parts).encode()
        line = spoil(line, self.dice) if 0.5 <= way < 0.9 else line
        return line.replace(b"\n", b" ") + b"\n"


def decoding(count: int, seed: int) -> Account:
    """Every line is a message, that says the same again, or BadMessage."""
    account, lines = Account(), Lines(seed)
    for _ in range(count):
        line = lines.any()
        try:
            message = decode(line)
        except BadMessage:
            account.note(line, "", refused=True)
        except Exception as crash:  # noqa: BLE001 - whatever comes is what is looked for
            account.note(line, f"{type(crash).__name__}: {crash}", refused=False)
        else:
            same = encode(decode(encode(message))) == encode(message)
            account.note(line, "" if same else "not the same again", refused=False)
    return account


class Engine(StartedEngine):
    """A real one with one stream, and our end of its channel."""

    def __init__(self, link: SharedRings, folder: Path) -> None:
        super().__init__(folder, stderr=subprocess.DEVNULL)
        self.socket.settimeout(ENGINE_S)
        self.open(link)

    def answers(self, voice: str) -> bool:
        """Whether it says something of that voice within the deadline; False where it ended or says nothing at all."""
        end = time.monotonic() + ENGINE_S
        while time.monotonic() < end:
            try:
                line = self.lines.readline()
            except OSError:  # no word for so long, or it ended before it had read everything
                return False
            message = decode(line) if line else None
            if not message or (isinstance(message, VoiceOn | VoiceFailed) and message.voice == voice):
                return bool(message)
        return False

    def tell(self, line: bytes) -> None:
        try:
            self.socket.sendall(line)
        except OSError:
            return  # it has ended meanwhile

    def ended(self, deadline_s: float) -> bool:
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def engines(count: int, seed: int, folder: Path) -> Account:
    """Each engine hears one good voice, some lines of which the last may be none, and must answer or have ended."""
    account, lines, link = Account(), Lines(seed), SharedRings.create()
    while account.tried < count:
        engine = Engine(link, folder)
        told = [lines.down() for _ in range(min(LINES_A_LIFE, count - account.tried))]
        for line in told:
            engine.tell(line)
        trouble = afterwards(engine)
        for line in told[:-1]:
            account.note(line, "", refused=_is_none(line))
        account.note(told, trouble, refused=_is_none(told[-1]))
        engine.close()
    link.close()
    return account


def afterwards(engine: Engine) -> str:
    """An engine that still lives obeys; one that does not has ended by itself, not by a signal."""
    engine.tell(encode(LoadVoice("robot"), FIRST))
    if engine.answers("robot"):
        engine.tell(encode(Quit(), FIRST))
    if not engine.ended(ENGINE_S):
        return "hang"
    status = engine.process.returncode
    return f"ended by {signal.Signals(-status).name}" if status < 0 else ""


def _is_none(line: bytes) -> bool:
    try:
        decode(line)
    except BadMessage:
        return True
    return False
