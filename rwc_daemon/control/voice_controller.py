"""The voice and the engine that speaks it: who is loaded, what the engine is told, what its words mean for the user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from rwc_daemon.control.engine_process import SLOW_S, Death
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.supervisor import Supervisor
from rwc_daemon.control.voice_requests import VoiceRequests
from rwc_daemon.control.voice_selection import Fallback, VoiceSelection
from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.errors import EngineFailed, NotReady, by_code
from rwc_daemon.families import FAMILIES
from rwc_daemon.host.journal import VOICE_ON, event
from rwc_daemon.messages import (
    Configure,
    EngineFault,
    Heartbeat,
    LoadVoice,
    Message,
    Planned,
    QualityReduced,
    RequestUnmet,
    SetControls,
    SetSlack,
    Suspend,
    VoiceFailed,
    VoiceOn,
    WatchPitch,
)
from rwc_daemon.voices.repository import VoiceRepository

log = logging.getLogger(__name__)

PROOF_HEARTBEATS = 10  # so many seconds of converting clear a voice
PLACE = "engine"
REDUCED = "deadline"
UNMET = "controls"


class VoiceListener(Protocol):
    """Who is told; all in the event loop's thread."""

    controls: Controls
    """Of the voice that plays."""

    def controls_of(self, voice: str) -> Controls: ...

    def voice_asked(self, voice: str, turned: Mapping[str, Any]) -> None: ...

    def voice_stays(self, voice: str) -> None: ...

    def voice_on(self, voice: str) -> None: ...

    def planned(self, planned: Planned, voice: str) -> None: ...

    def unplanned(self) -> None: ...

    def heartbeat(self, heartbeat: Heartbeat) -> None: ...

    def engine_gone(self) -> None: ...

    def changed(self) -> None: ...

    def save(self) -> None: ...


class VoiceController:
    """Owns the supervisor and the selection of voice."""

    def __init__(
        self,
        repository: VoiceRepository,
        selection: VoiceSelection,
        faults: Faults,
        owner: VoiceListener,
        keep_warm_s: float,
    ) -> None:
        self._repository, self.selection, self._faults, self._owner = repository, selection, faults, owner
        self._keep_warm_s = keep_warm_s
        self._finding = asyncio.Lock()
        self._requests = VoiceRequests()
        self._configured: Configure | None = None
        self._watched = False
        self._converting = self._kind = ""  # what this engine plays; empty until it says so
        self._heartbeats = 0
        self._loads = 0  # LoadVoice messages sent
        self._suspended_s = 0.0
        self.device = ""
        self.supervisor: Supervisor

    @property
    def converts(self) -> bool:
        """The engine has a voice."""
        return bool(self._converting)

    @property
    def heavy(self) -> bool:
        """What the engine has loaded holds much memory, as the row of its family says."""
        return bool(self._converting) and self._kind in FAMILIES and FAMILIES[self._kind].heavy

    @property
    def cooled(self) -> bool:
        """The engine was ended to free its memory; the next listener starts it."""
        return not self.supervisor.wanted

    async def load(self, wanted: str, turned: Mapping[str, Any], waiting: asyncio.Future[str] | None = None) -> None:
        """Returns once the voice is known and queued; `turned`: controls with which it begins, above its own. `waiting`
        gets its id when it converts, or the reason why it does not. Raises NoSuchVoice."""
        async with self._finding:  # in the order of the calls
            info = await asyncio.to_thread(self._repository.find, wanted)
            self.selection.ask(info.id)
            self._owner.voice_asked(info.id, turned)
            self.supervisor.start()
            self._send_load(info.id)
            self._requests.begin(info.id, self._loads, waiting)
            if info.id == self._converting:  # it goes on, and its nets are laid out anew beside it where that is wanted
                self.selection.on(info.id)
                self._owner.voice_stays(info.id)
        self._owner.save()
        self._owner.changed()

    def stop(self) -> None:
        """No voice comes from now on."""
        self._requests.fail_all(NotReady("rwc-daemon stops: ask again when it runs"))

    def configure(self, wanted: Configure) -> None:
        """Somebody listens, in this graph."""
        self._configured, self._suspended_s = wanted, 0.0
        self._owner.unplanned()
        self.supervisor.start()
        self.supervisor.send(wanted)

    def suspend(self) -> None:
        """Nobody listens."""
        self._configured = None
        self._owner.unplanned()
        self.supervisor.send(Suspend())

    def send_controls(self) -> None:
        """To the voice that plays, and to the one that is being loaded: each has its own."""
        playing, loading = self.selection.playing, self.selection.loading
        self.supervisor.send(SetControls(to_dict(self._owner.controls), playing))
        if loading not in ("", playing):
            self.supervisor.send(SetControls(to_dict(self._owner.controls_of(loading)), loading))

    def set_slack(self, wanted: SetSlack) -> None:
        self.supervisor.send(wanted)

    def watch(self, on: bool) -> None:
        self._watched = on
        self.supervisor.send(WatchPitch(on))

    async def tick(self, elapsed_s: float) -> None:
        """About once a second."""
        converting = self._configured is not None and self.converts and not self.selection.loading
        self.supervisor.check(elapsed_s, converting)
        self._suspended_s = 0.0 if self._configured else self._suspended_s + elapsed_s
        if self.heavy and self._suspended_s > self._keep_warm_s > 0 and not self.selection.loading:
            log.info("nobody listened for %.0f s: the engine is ended, its memory freed", self._suspended_s)
            self._converting = ""
            await self.supervisor.stop()

    # ---- from the supervisor ----

    def on_up(self) -> None:
        self.supervisor.send(SetControls(to_dict(self._owner.controls)))
        self._send_load(self.selection.wanted)
        if self._configured is not None:
            self.supervisor.send(self._configured)
        if self._watched:
            self.supervisor.send(WatchPitch(True))
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
                    self._owner.planned(message, self.selection.loading or self.selection.playing)
            case Heartbeat():
                self._heartbeat(message)
            case QualityReduced(text):
                self._quality_reduced(text)
            case RequestUnmet("", ""):
                self._faults.end(UNMET)
            case RequestUnmet():
                self._faults.begin(UNMET, message.code, message.message)
            case EngineFault():
                self._faults.happened(message.code, message.message)
        self._owner.changed()

    def on_death(self, death: Death) -> None:
        self._converting = ""
        self._owner.unplanned()
        self._owner.engine_gone()
        self._faults.end(REDUCED)
        self._faults.end(UNMET)
        verdict = self.selection.died(death.own_fault)
        if verdict.blamed:
            self._give_up(verdict, f"it ended the engine twice ({death.reason})")
        if self.supervisor.given_up:
            times = self.supervisor.quick_deaths
            text = (
                f"the engine {death.reason}, for the {times}th time in a row: RWC Mic is silent, and a new engine is "
            )
            text += f"tried every {SLOW_S:g} s; 'rwcctl logs' and 'rwcctl doctor' say more"
            self._requests.fail_all(EngineFailed(text))
        else:
            text = f"the engine {death.reason}: RWC Mic is silent until the next one runs"
        self._faults.begin(PLACE, "EngineFailed", text)
        self._owner.changed()

    def _voice_on(self, message: VoiceOn) -> None:
        event(log, VOICE_ON, f"voice '{message.voice}' on {message.device}", RWC_VOICE=message.voice)
        self._converting, self._kind = message.voice, message.kind
        self.device, self._heartbeats = message.device, 0
        self.selection.on(message.voice)
        self._faults.end(PLACE)
        self._owner.voice_on(message.voice)
        self._requests.converts(message.voice, message.number)

    def _quality_reduced(self, text: str) -> None:
        if text:
            self._faults.begin(REDUCED, "Overloaded", text)
        else:
            self._faults.end(REDUCED)

    def _send_load(self, voice: str) -> None:
        self._loads += 1
        self.supervisor.send(LoadVoice(voice, to_dict(self._owner.controls_of(voice)), self._loads))

    def _voice_failed(self, message: VoiceFailed) -> None:
        self._requests.fail(message.voice, by_code(message.code)(message.message), message.number)
        if message.voice == self._converting:
            return  # it plays on as it was
        verdict = self.selection.failed(message.voice, self._converting)
        if verdict is None:
            self._faults.happened(message.code, message.message)
            return
        self._give_up(verdict, message.message, message.code)
        self._send_load(verdict.voice)

    def _give_up(self, verdict: Fallback, why: str, code: str = "EngineFailed") -> None:
        text = f"voice '{verdict.blamed}' cannot be used, '{verdict.voice}' takes its place: {why}"
        self._faults.happened(code, text)
        self._requests.fail(verdict.blamed, EngineFailed(text))
        self._owner.voice_asked(verdict.voice, {})
        self._owner.save()

    def _heartbeat(self, message: Heartbeat) -> None:
        self._heartbeats += message.blocks > 0
        if self._heartbeats == PROOF_HEARTBEATS:
            self.selection.proved()
        self._owner.heartbeat(message)
