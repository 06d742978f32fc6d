"""How long what comes in and goes out has been silent, from one look at the levels after another."""

from __future__ import annotations

from dataclasses import replace

from rwc_daemon.control.silence.observed import SoundSeen
from rwc_daemon.control.stats import FLOOR_DB, Levels

FAINT_DB = -80.0  # a microphone that works gives noise above this; the smallest 16-bit sample is -90 dB
SOFT_DB = -30.0  # a voice at its usual level has peaks well above this
LOOK_S = 1.0  # how long a look usually is
CLEAR_DB = -60.0  # what is sound on the other channel, whatever noise its input has


class Hearing:
    """`take` every second while somebody listens; `forget` when nobody does."""

    def __init__(self) -> None:
        self._place = ("", "")
        self.sound = SoundSeen()

    def forget(self) -> None:
        self._place, self.sound = ("", ""), SoundSeen()

    def take(self, levels: Levels, elapsed_s: float, place: tuple[str, str], gate_db: float) -> None:
        """`levels`: peaks of the last `elapsed_s`. `place`: the microphone and its channel. `gate_db`: quieter input is
        silence to the voice."""
        if place != self._place:  # what is linked now has not been heard yet
            self._place, self.sound = place, SoundSeen()
            return
        before, heard = self.sound, levels.in_db > FLOOR_DB
        faint, gated = levels.in_db < FAINT_DB, levels.in_db < gate_db
        dumb = not gated and levels.out_db <= FLOOR_DB

        def counted(so_far_s: float, goes_on: bool) -> float:
            return so_far_s + elapsed_s if goes_on else 0.0

        self.sound = replace(
            before,
            zero_s=counted(before.zero_s, not heard),
            faint_s=counted(before.faint_s, faint),
            soft_s=counted(before.soft_s, levels.in_db < SOFT_DB),
            beside_s=counted(before.beside_s, faint and levels.beside_db > CLEAR_DB),
            gated_s=counted(before.gated_s, gated),
            dumb_s=counted(before.dumb_s, dumb),
            # a click when the card starts may be all that a long look has heard
            heard_s=before.heard_s + min(elapsed_s, LOOK_S) * heard,
        )
