"""D-Bus messages of every kind: right ones, nearly right ones, and nonsense."""

from __future__ import annotations

import random
import string
from typing import Any

from dbus_next import Message, Variant

from rwc_daemon.controls import NAMES
from rwc_daemon.faces import dbus_types
from rwc_daemon.faces.dbus_client import PROPERTIES_INTERFACE

LIMITS = {"y": 8, "q": 16, "u": 32, "t": 64}
SIGNED = {"n": 15, "i": 31, "x": 63}
NUMBERS = (0.0, -0.0, 1.5, -24.0, 24.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    "",
    "deep",
    "\u0661",
    "../../etc/passwd",
    "/dev/zero",
    "a" * 5000,
    "\n\t",
    "😀" * 20,
    "NaN",
    "org.rwc",
    "%s%n",
    "'; --",
)
RARELY = 0.01
LONG, DEEP = 100_000, 10
SPARED = ("Quit",)  # it would end the run, rightly


class Random:
    """Values of random D-Bus types."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def kind(self, depth: int = 0) -> str:
        simple = self.dice.choice("ybnqiuxtdso")
        if depth > 3 or self.dice.random() < 0.6:
            return simple
        inner = self.kind(depth + 1)
        return self.dice.choice(("v", f"a{inner}", f"({inner}{simple})", f"a{{s{inner}}}", "a{sv}"))

    def text(self) -> str:
        if self.dice.random() < RARELY:
            return "é" * LONG
        if self.dice.random() < 0.5:
            return self.dice.choice(TEXTS)
        names = [*dbus_types.PROPERTIES, *NAMES, "name", "also"]
        return self.dice.choice([*names, "".join(self.dice.choices(string.printable, k=self.dice.randrange(30)))])

    def value(self, kind: str) -> Any:
        head = kind[0]
        if head == "b":
            return self.dice.random() < 0.5
        if head in LIMITS:
            return self.dice.choice((0, 1, self.dice.getrandbits(LIMITS[head]), 2 ** LIMITS[head] - 1))
        if head in SIGNED:
            bound = 2 ** SIGNED[head]
            return self.dice.choice((0, -1, 3, self.dice.randrange(-bound, bound), -bound, bound - 1))
        if head == "d":
            return self.dice.choice((*NUMBERS, self.dice.uniform(-30, 30)))
        if head == "s":
            return self.text().replace("\0", "")
        if head == "o":
            return self.dice.choice(("/", dbus_types.PATH, "/x/y"))
        if head == "v":
            return self.variant()
        return self._container(kind)

    def _container(self, kind: str) -> Any:
        if kind.startswith("a{s"):
            return {self.value("s"): self.value(kind[3:-1]) for _ in range(self.dice.randrange(4))}
        if kind == "ay":
            return self.dice.randbytes(self.dice.randrange(4))
        if kind.startswith("a"):
            return [self.value(kind[1:]) for _ in range(self.dice.randrange(4))]
        return [self.value(kind[1:-2]), self.value(kind[-2])]

    def variant(self) -> Variant:
        kind = self.kind(depth=2)
        variant = Variant(kind, self.value(kind))
        if self.dice.random() < RARELY:
            for _ in range(DEEP):
                variant = Variant("v", variant)
        return variant

    def message(self) -> Message:
        interface = dbus_types.INTERFACE
        member = self.dice.choice([name for name in dbus_types.METHODS if name not in SPARED])
        kinds = dbus_types.METHODS[member].signature
        if self.dice.random() < 0.4:
            interface, member, kinds = PROPERTIES_INTERFACE, "Set", "ssv"
        if self.dice.random() < 0.1:
            kinds = "".join(self.kind() for _ in range(self.dice.randrange(3)))
        body = [self.value(kind) for kind in _split(kinds)]
        if member == "Set" and kinds == "ssv" and self.dice.random() < 0.9:
            body[:2] = [dbus_types.INTERFACE, self.dice.choice(list(dbus_types.PROPERTIES))]
        where = {"destination": dbus_types.NAME, "path": dbus_types.PATH, "interface": interface}
        return Message(member=member, signature=kinds, body=body, **where)


def _split(kinds: str) -> list[str]:
    """`sa{sv}` → [`s`, `a{sv}`]."""
    parts: list[str] = []
    depth = 0
    for letter in kinds:
        if depth == 0 and not (parts and parts[-1].endswith("a")):
            parts.append("")
        parts[-1] += letter
        depth += (letter in "({") - (letter in ")}")
    return parts
