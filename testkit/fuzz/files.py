"""Damaged files of the user's: configuration, environment, state, a voice's card and what is remembered of it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rwc_daemon.controls import Controls, changed, to_dict
from rwc_daemon.errors import BadSettings, BadState, RwcError
from rwc_daemon.faces.dbus_types import VOICE, dictionary
from rwc_daemon.host.state import Saved, StateFile
from rwc_daemon.settings import example, keys, read
from rwc_daemon.store.card import CARD, SETTINGS
from rwc_daemon.store.voices import VoiceStore
from rwc_daemon.voices.repository import VoiceRepository
from testkit.fuzz.account import Account, Hang, at_most, is_sentence
from testkit.import_fuzzer import spoil
from testkit.voice_maker import make_voice

VALUES = (
    *(0, -1, 1e999, -1e999, float("nan"), 10**400, True, None, "", "deep", "a" * 5000, "\ud800", "../../etc", "\x00"),
    *([], [[]], {}, {"a": {}}, ["deep"], [None] * 50),
)


class Files:
    """Damages good content in ways that a parser meets: bytes, values of other types, keys, depth."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def toml(self) -> bytes:
        lines = example().splitlines()
        uncommented = [
            line.removeprefix("# ") if " = " in line and self.dice.random() < 0.3 else line for line in lines
        ]
        if self.dice.random() < 0.5:
            key = self.dice.choice(list(keys()))
            value = self.dice.choice(("nan", "inf", "-1", "1_0", "''", "[]", "{}", "'deep'", "true", "0x10", "1" * 400))
            uncommented.append(f"{key.name} = {value}")
        content = "\n".join(uncommented).encode()
        return self.spoiled(content)

    def environment(self) -> dict[str, str]:
        names = [key.variable for key in keys()]
        values = ("", "nan", "true", "-5", "deep", "é" * 100, "\udcff", "9" * 400, "auto", "\n")
        chosen = {self.dice.choice(names): self.dice.choice(values) for _ in range(self.dice.randrange(4))}
        if self.dice.random() < 0.3:
            chosen["RWC_" + "".join(self.dice.choices("ABCDEIOU_", k=8))] = self.dice.choice(values)
        return chosen

    def json(self, good: bytes) -> bytes:
        """With probability one half still JSON, but of the wrong shape."""
        if self.dice.random() < 0.02:
            return b"[" * 100_000
        if self.dice.random() < 0.5:
            return self.spoiled(good)
        tree = json.loads(good)
        for _ in range(self.dice.randint(1, 3)):
            self._twist(tree)
        return json.dumps(tree).encode("utf-8", "surrogatepass")

    def spoiled(self, content: bytes) -> bytes:
        return content if self.dice.random() < 0.1 else spoil(content, self.dice)

    def _twist(self, tree: dict[str, Any]) -> None:
        key = self.dice.choice([*tree, "new"])
        inner = tree.get(key)
        if isinstance(inner, dict) and inner and self.dice.random() < 0.7:
            self._twist(inner)
        elif self.dice.random() < 0.2:
            tree.pop(key, None)
        else:
            tree[key] = copy.deepcopy(self.dice.choice(VALUES))


def watched(account: Account, what: object, act: Callable[[], str], refusal: type[RwcError]) -> None:
    """`act` answers with a complaint, or nothing."""
    try:
        with at_most():
            complaint = act()
        account.note(what, complaint, refused=False)
    except refusal as no:
        account.note(what, "" if is_sentence(str(no)) else f"no sentence: {no}", refused=True)
    except Hang:
        account.note(what, "hang", refused=False)
    except Exception as crash:  # noqa: BLE001 - whatever comes is what is looked for
        account.note(what, f"{type(crash).__name__}: {crash}", refused=False)


def settings(count: int, seed: int, folder: Path) -> Account:
    """config.toml and the environment: accepted whole, or refused with a sentence."""
    account, files, path = Account(), Files(seed), folder / "config.toml"
    for _ in range(count):
        path.write_bytes(files.toml())
        environment = files.environment()
        what = (path.read_bytes(), environment)
        watched(account, what, lambda environment=environment: read(path, environment) and "", BadSettings)
    return account


def state(count: int, seed: int, folder: Path) -> Account:
    """state.json: whatever it holds, the daemon starts, with controls in range and a sentence about the damage."""
    account, files, path = Account(), Files(seed), folder / "state.json"
    StateFile(path).save(Saved("deep", "mic", "convert", replace(Controls(), pitch=3.0), {"pitch": 1.0}))
    good = path.read_bytes()

    def load() -> str:
        saved, damage = StateFile(path).load()
        if damage and not is_sentence(damage):
            return f"no sentence: {damage}"
        if changed(Controls(), to_dict(saved.controls)) != saved.controls:
            return f"out of range: {saved.controls}"
        StateFile(path).save(saved)
        if damage:
            raise BadState(damage)
        return ""

    for _ in range(count):
        path.write_bytes(files.json(good))
        watched(account, path.read_bytes(), load, BadState)
    return account


def repository(count: int, seed: int, folder: Path) -> Account:
    """A stored voice's card and remembered settings: listed in a form that D-Bus can say, or called damaged."""
    account, files = Account(), Files(seed)
    store = VoiceStore(folder / "voices")
    card = store.bring_in([make_voice(folder, "v2-40k-f0", name="good")])[0]
    store.remember(card.id, {"pitch": 2.0})
    places = [card.folder / CARD, card.folder / SETTINGS]
    good = {path: path.read_bytes() for path in places}

    def look() -> str:
        for voice in VoiceRepository(folder).list():
            said = dictionary({name: getattr(voice, name) for name in VOICE}, VOICE)
            [value.value.encode() for value in said.values() if value.signature == "s"]
        Controls(**store.remembered(card.id))
        store.get(card.id)
        return ""

    for _ in range(count):
        path = files.dice.choice(places)
        path.write_bytes(files.json(good[path]))
        watched(account, (path.name, path.read_bytes()), look, RwcError)
        path.write_bytes(good[path])
    return account
