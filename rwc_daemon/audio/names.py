"""What a microphone is called: its nodes, its JACK client, its unit, the text that people read.

The first has the plain names; each further one has its own name behind a dot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rwc_daemon.errors import OutOfRange

MICROPHONE = "rwc_mic"
RESERVED = ("feed", "standby")
RIGHT = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True)
class MicrophoneNames:
    """Of one microphone."""

    name: str = ""
    """Empty: the first."""

    @property
    def node(self) -> str:
        """What applications record."""
        return f"{MICROPHONE}.{self.name}" if self.name else MICROPHONE

    @property
    def feed(self) -> str:
        """Where our output goes in."""
        return f"{self.node}.feed"

    @property
    def description(self) -> str:
        return f"RWC Mic: {self.name}" if self.name else "RWC Mic"

    @property
    def unit(self) -> str:
        """That holds its node."""
        return f"rwc-mic@{self.name}.service" if self.name else "rwc-mic.service"

    @property
    def file(self) -> str:
        """Begins the names of its files in the runtime directory."""
        return f"mic.{self.name}" if self.name else "mic"

    def client(self, first: str) -> str:
        """Of its JACK client, where that of the first is called so."""
        return f"{first}.{self.name}" if self.name else first


def checked(name: str) -> str:
    """A further microphone's name; raises OutOfRange."""
    if RIGHT.fullmatch(name) and name not in RESERVED:
        return name
    raise OutOfRange(
        f"a microphone is not called '{name[:40]}': use up to 31 of a-z, 0-9 and _, beginning with a letter; "
        f"{' and '.join(RESERVED)} are taken"
    )


def is_a_microphone(node_name: str) -> bool:
    """Whether a node is one of ours, or feeds one."""
    return node_name == MICROPHONE or node_name.startswith(f"{MICROPHONE}.")
