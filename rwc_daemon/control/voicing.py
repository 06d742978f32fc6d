"""The voice and the engine that speaks it: who is loaded, what the engine is told, what its words mean for the user."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from rwc_daemon.control.choice import Choice, Verdict
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.supervisor import SLOW_S, Death, Supervisor
from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.host.journal import VOICE_ON, event
from rwc_daemon.messages import (
    Beat,
    Configure,
    Eased,
    EngineFault,
    Keep,
    Message,
    Planned,
    Rest,
    SetControls,
    Unmet,
    Use,
    VoiceFailed,
    VoiceOn,
    Watch,
)
from rwc_daemon.voices.builtin.voice import BUILTIN
from rwc_daemon.voices.shelf import Shelf

log = logging.getLogger(__name__)

PROOF_BEATS = 10  # so many seconds of converting clear a voice
PLACE = "engine"
EASED = "deadline"
UNMET = "controls"


class Owner(Protocol):
    """Who is told; all in the event loop's thread."""

    controls: Controls

    def voice_on(self, voice: VoiceOn) -> None: ...

    def planned(self, planned: Planned, voice: str) -> None: ...

    def unplanned(self) -> None: ...

    def beat(self, beat: Beat) -> None: ...

    def engine_gone(self) -> None: ...

    def changed(self) -> None: ...

    def save(self) -> None: ...


class Voicing:
    """Owns the supervisor and the choice of voice."""

    def __init__(self, shelf: Shelf, choice: Choice, faults: Faults, owner: Owner, keep_warm_s: float) -> None:
        self._shelf, self.choice, self._faults, self._owner = shelf, choice, faults, owner
        self._keep_warm_s = keep_warm_s
        self._finding = asyncio.Lock()
        self._configured: Configure | None = None
        self._watched = False
        self._converting = ""  # what this engine plays; empty until it says so
        self._beats = 0
        self._resting_s = 0.0
        self.device = ""
        self.supervisor: Supervisor

    @property
    def converts(self) -> bool:
        """The engine has a voice."""
        return bool(self._converting)

    @property
    def cooled(self) -> bool:
        """The engine was ended to free its memory; the next listener starts it."""
        return not self.supervisor.wanted

    async def load(self, wanted: str) -> None:
        """Returns once the voice is known and queued; raises NoSuchVoice."""
        async with self._finding:  # in the order of the calls
            info = await asyncio.to_thread(self._shelf.find, wanted)
            self.choice.ask(info.id)
            if info.id == self._converting:
                self.choice.on(info.id)  # the engine does not announce what plays already
            self.supervisor.start()
            self.supervisor.send(Use(info.id))
        self._owner.save()
        self._owner.changed()

    def configure(self, wanted: Configure) -> None:
        """Somebody listens, in this graph."""
        self._configured, self._resting_s = wanted, 0.0
        self._owner.unplanned()
        self.supervisor.start()
        self.supervisor.send(wanted)

    def rest(self) -> None:
        """Nobody listens."""
        self._configured = None
        self._owner.unplanned()
        self.supervisor.send(Rest())

    def send_controls(self) -> None:
        self.supervisor.send(SetControls(to_dict(self._owner.controls)))

    def keep(self, wanted: Keep) -> None:
        self.supervisor.send(wanted)

    def watch(self, on: bool) -> None:
        self._watched = on
        self.supervisor.send(Watch(on))

    async def tick(self, elapsed_s: float) -> None:
        """About once a second."""
        converting = self._configured is not None and self.converts and not self.choice.loading
        self.supervisor.check(elapsed_s, converting)
        self._resting_s = 0.0 if self._configured else self._resting_s + elapsed_s
        heavy = self._converting not in BUILTIN
        if self._converting and heavy and self._resting_s > self._keep_warm_s > 0 and not self.choice.loading:
            log.info("nobody listened for %.0f s: the engine is ended, its memory freed", self._resting_s)
            self._converting = ""
            await self.supervisor.stop()

    # ---- from the supervisor ----

    def on_up(self) -> None:
        self.send_controls()
        self.supervisor.send(Use(self.choice.wanted))
        if self._configured is not None:
            self.supervisor.send(self._configured)
        if self._watched:
            self.supervisor.send(Watch(True))
        self._owner.changed()

    def on_message(self, message: Message) -> None:
        match message:
            case VoiceOn():
                self._voice_on(message)
            case VoiceFailed():
                self._voice_failed(message)
            case Planned():
                # sent before the VoiceOn of a voice that takes over
                if self._configured is not None:
                    self._owner.planned(message, self.choice.loading or self.choice.playing)
            case Beat():
                self._beat(message)
            case Eased(text):
                self._eased(text)
            case Unmet("", ""):
                self._faults.end(UNMET)
            case Unmet():
                self._faults.begin(UNMET, message.code, message.message)
            case EngineFault():
                self._faults.happened(message.code, message.message)
        self._owner.changed()

    def on_death(self, death: Death) -> None:
        self._converting = ""
        self._owner.unplanned()
        self._owner.engine_gone()
        self._faults.end(EASED)
        self._faults.end(UNMET)
        verdict = self.choice.died(death.own_fault)
        if verdict.blamed:
            self._give_up(verdict, f"it ended the engine twice ({death.reason})")
        if self.supervisor.given_up:
            times = self.supervisor.quick_deaths
            text = (
                f"the engine {death.reason}, for the {times}th time in a row: RWC Mic is silent, and a new engine is "
            )
            text += f"tried every {SLOW_S:g} s; 'rwcctl logs' and 'rwcctl doctor' say more"
        else:
            text = f"the engine {death.reason}: RWC Mic is silent until the next one runs"
        self._faults.begin(PLACE, "EngineFailed", text)
        self._owner.changed()

    def _voice_on(self, message: VoiceOn) -> None:
        event(log, VOICE_ON, f"voice '{message.voice}' on {message.device}", RWC_VOICE=message.voice)
        self._converting, self.device, self._beats = message.voice, message.device, 0
        self.choice.on(message.voice)
        self._faults.end(PLACE)
        self._owner.voice_on(message)

    def _eased(self, text: str) -> None:
        if text:
            self._faults.begin(EASED, "Overloaded", text)
        else:
            self._faults.end(EASED)

    def _voice_failed(self, message: VoiceFailed) -> None:
        verdict = self.choice.failed(message.voice, self._converting)
        if verdict is None:
            self._faults.happened(message.code, message.message)
            return
        self._give_up(verdict, message.message, message.code)
        self.supervisor.send(Use(verdict.voice))

    def _give_up(self, verdict: Verdict, why: str, code: str = "EngineFailed") -> None:
        text = f"voice '{verdict.blamed}' cannot be used, '{verdict.voice}' takes its place: {why}"
        self._faults.happened(code, text)
        self._owner.save()

    def _beat(self, message: Beat) -> None:
        self._beats += message.blocks > 0
        if self._beats == PROOF_BEATS:
            self.choice.proved()
        self._owner.beat(message)
