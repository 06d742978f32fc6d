"""The daemon's watch over silence: what is known each second, the cause that follows, the fault it is told by.

What `auto` takes of a stereo microphone is decided here too, since it is found by listening.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from rwc_daemon.control.activity import Activity
from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.silence.hearing import Hearing
from rwc_daemon.control.silence.look import look
from rwc_daemon.control.silence.observed import FOUND_S, Cause, Observed
from rwc_daemon.control.silence.one_sided import OTHER
from rwc_daemon.control.silence.table import first
from rwc_daemon.control.stats import Stats
from rwc_daemon.control.volume_guard import VolumeGuard
from rwc_daemon.controls import Controls
from rwc_daemon.errors import Silent
from rwc_daemon.host.journal import INPUT, event

log = logging.getLogger(__name__)

PLACE = "silence"


class SilenceWatch:
    """`tick` once a second."""

    def __init__(self, audio: AudioBackend, activity: Activity, stats: Stats, faults: Faults, channel: str) -> None:
        """`channel`: as it was saved; empty: as the settings say."""
        self._router, self._graph = audio.router, audio.watch.graph
        self._activity, self._stats, self._faults = activity, stats, faults
        if channel:
            self._router.channel = channel
        self._hearing, self._loudness = Hearing(), VolumeGuard(audio.listeners.volume, faults)
        self._cycles = 0
        self.cause: Cause | None = None
        # why RWC Mic is silent, or would be if somebody recorded it

    def start(self) -> None:
        """Within the event loop."""
        self._loudness.start()

    def tick(self, elapsed_s: float, mode: str, controls: Controls) -> None:
        activity, router = self._activity, self._router
        listening = activity.engaged and activity.capturing and activity.listeners > 0
        if not listening:
            self._hearing.forget()
        elif self._cycles_come():
            gate_db = controls.gate_db - controls.input_gain_db if controls.gate_db > -90 else -1000.0
            place = (router.current, router.side)
            self._hearing.take(self._stats.take_loudest(), elapsed_s, place, gate_db)
        seen = replace(
            look(self._graph(), activity.input.name),
            mode=mode,
            channel=router.channel,
            side=router.side,
            gate_db=controls.gate_db,
            sound=self._hearing.sound if listening else None,
        )
        self._choose_side(seen)
        self._tell(first(seen), listening)

    @property
    def channel(self) -> str:
        """`auto`, `left`, `right` or `mix`, as the user wants it."""
        return self._router.channel

    def choose_channel(self, channel: str) -> None:
        """Raises OutOfRange and changes nothing."""
        self._router.channel = channel
        self._hearing.forget()
        self._activity.poke()

    def figures(self) -> dict[str, str | int]:
        """For people and programs: the cause and its sentence, the channel in use, how often the volume was held."""
        cause = self.cause
        return {
            "silence_cause": cause.name if cause else "",
            "silence_message": cause.message if cause else "",
            "input_channel": self._router.side,
            "volume_put_back": self._loudness.put_back,
        }

    def _cycles_come(self) -> bool:
        """Without cycles no peak says anything."""
        before, self._cycles = self._cycles, self._stats.counters.cycles
        return self._cycles != before

    def _tell(self, cause: Cause | None, listening: bool) -> None:
        self.cause = cause
        if cause and cause.fault and listening:
            self._faults.begin(PLACE, Silent.__name__, cause.message)
        else:
            self._faults.end(PLACE)

    def _choose_side(self, seen: Observed) -> None:
        if seen.sound is None or seen.sound.beside_s < FOUND_S:
            return
        if seen.channel == "auto" and seen.side in OTHER:
            side = OTHER[seen.side]
            said = f"only the {side} channel of {seen.input_name} carries sound: it is used from now on"
            event(log, INPUT, said, RWC_INPUT=seen.input)
        elif seen.channel == "mix" and seen.side == "mix":
            side = "left"
            said = f"the channels of {seen.input_name} cancel each other (opposite phase): only the left one is used"
            self._faults.happened(Silent.__name__, said)
        else:
            return
        self._hearing.forget()
        self._router.turn_to(side)
        self._activity.poke()
