"""One microphone: the one owner of the truth about it. Audio and engine answer here; nobody else decides.

    faces ── calls ──▶ MicrophoneCore ──▶ Activity (client, microphone's node, links, listeners)
          ◀── events ──               ──▶ VoiceController (selection of voice, supervisor, stream)
                                      ──▶ PlayoutDelay (latency) · Faults · Saver

What microphones share is the core's (control/core.py). Everything runs in the event loop's thread; what may block goes
to a thread and comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rwc_daemon.control.activity import Activity
from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.control.engine_pool import EnginePool
from rwc_daemon.control.events import Events, LevelWatch, Status, own_version
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.playout import PlayoutDelay
from rwc_daemon.control.saving import Saver
from rwc_daemon.control.silence.watch import SilenceWatch
from rwc_daemon.control.stats import Stats
from rwc_daemon.control.supervisor import Supervisor
from rwc_daemon.control.voice_controller import VoiceController
from rwc_daemon.control.voice_selection import VoiceSelection
from rwc_daemon.control.voice_settings import VoiceSettings
from rwc_daemon.control.watchdog import IDLE_S, LIVE_S
from rwc_daemon.controls import MODES, Controls, changed, parsed, to_dict
from rwc_daemon.errors import OutOfRange
from rwc_daemon.host.journal import MODE, event
from rwc_daemon.host.state import StateFile
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Heartbeat, Planned
from rwc_daemon.settings import Settings
from rwc_daemon.thresholds import THRESHOLDS
from rwc_daemon.voices.repository import VoiceRepository

log = logging.getLogger(__name__)

REHEARSAL_S = 4.0


class MicrophoneCore:
    """Made without side effects but on the rings; `start` and `stop` once each."""

    def __init__(
        self,
        settings: Settings,
        link: SharedRings,
        make_audio: Callable[[SharedRings, Settings, str], AudioBackend],
        file: StateFile,
        repository: VoiceRepository,
        engines: EnginePool,
        events: Events,
    ) -> None:
        """`file`: what it remembers; `repository`, `engines`: of all microphones; `events`: told of this one."""
        self._settings, self._link, self._events = settings, link, events
        self._file = file
        self._saved, self._damage = self._file.load()
        self._version = own_version()
        self.controls: Controls = self._saved.controls
        self._mode = self._saved.mode_after(settings.privacy.pin_bypass)
        self._input = self._saved.input
        audio = make_audio(link, settings, self._input)
        self.faults = Faults(self._events.fault)
        self.stats = Stats(link, audio.client)
        self.levels = LevelWatch(self.stats, self._events)
        self.activity = Activity(audio, settings.audio.listen == "always", self.faults, self)
        self._voice_settings = VoiceSettings(
            repository.store, self._saved.common, settings.state.remember_per_voice, self._saved.voice
        )
        self._silence = SilenceWatch(audio, self.activity, self.stats, self.faults, self._saved.channel)
        selection = VoiceSelection(self._saved.voice, settings.voice.first)
        self.voice_controller = VoiceController(repository, selection, self.faults, self, settings.engine.keep_warm_s)
        self._playout = PlayoutDelay(
            link, audio.client, self.stats, self.faults, settings.audio, self.voice_controller.set_slack
        )
        self.voice_controller.supervisor = Supervisor(
            link,
            engines,
            self.voice_controller.on_up,
            self.voice_controller.on_message,
            self.voice_controller.on_death,
        )
        self._saver = Saver(self._picture, self.faults)
        self._rehearsed_s = 0.0
        self._ticked = self.stats.counters  # of the tick before; whoever asks for statistics reads them meanwhile
        self.microphone_there = asyncio.Event()

    # ---- start and stop ----

    def start(self) -> None:
        if self._damage:
            self.faults.happened("BadState", self._damage)
        self.voice_controller.supervisor.start()
        self._silence.start()
        self.activity.start()

    def ends(self) -> None:
        """Nobody waits for a voice any more."""
        self.watch_levels(False)
        self.voice_controller.stop()

    async def stop(self) -> None:
        """After `ends`."""
        await self.activity.stop()
        await self.voice_controller.supervisor.stop()
        await self._saver.stop()

    # ---- asked by faces; what is refused has changed nothing ----

    @property
    def status(self) -> Status:
        selection, counters = self.voice_controller.selection, self.stats.counters
        return Status(
            mode=self._mode,
            input=self._input,
            input_channel=self._silence.channel,
            voice=selection.playing,
            loading=selection.loading,
            microphone=self.activity.tier,
            state=self._state(),
            device=self.voice_controller.device,
            latency_ms=self.stats.latency.total_ms,
            load=self.stats.heartbeat.load,
            listeners=self.activity.listeners,
            xruns=counters.xruns,
            underruns=counters.underruns,
            version=self._version,
        )

    async def load(self, voice: str) -> None:
        """Returns once the voice is known and queued. Raises NoSuchVoice."""
        await self.voice_controller.load(voice, {})

    async def use(self, voice: str, controls: Mapping[str, Any]) -> str:
        """The voice's id, once it converts; `controls` are those it begins with, above its own.

        Raises what is against this request: NoSuchVoice, NoSuchControl, OutOfRange, what loading raises, EngineFailed,
        Superseded, NotReady when the daemon stops.
        """
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self.voice_controller.load(voice, parsed(controls), waiting)
        return await waiting

    def forget_voice(self, voice: str) -> None:
        """It was removed."""
        self.voice_controller.selection.forget(voice)
        self._voice_settings.forget(voice)

    def set_controls(self, wanted: Mapping[str, Any]) -> None:
        """All of them or none; raises NoSuchControl or OutOfRange."""
        self._turn(parsed(wanted))

    def reset_controls(self) -> None:
        self._turn(to_dict(Controls()))

    def reset_latency(self) -> None:
        """Back to what a calm machine needs; whoever listens hears one dip of 10 ms."""
        self._playout.forget()
        self._rehearse()  # with nobody listening: so that the figure shown is the new one
        self.changed()

    def set_mode(self, mode: str) -> None:
        """`bypass` plays the unprocessed voice: nothing but this call sets it."""
        if mode not in MODES:
            raise OutOfRange(f"mode is one of {', '.join(MODES)}; not '{mode[:60]}'")
        if mode == self._mode:
            return
        event(log, MODE, f"mode {mode}", logging.WARNING if mode == "bypass" else logging.INFO, RWC_MODE=mode)
        self._mode = mode
        self._apply_mode()
        self.save()
        self.changed()

    async def set_input(self, name: str) -> None:
        """Raises NoSuchInput."""
        self._input = await self.activity.choose_input(name)
        self.save()
        self.changed()

    def set_input_channel(self, channel: str) -> None:
        """Raises OutOfRange."""
        self._silence.choose_channel(channel)
        self.save()
        self.changed()

    def statistics(self) -> dict[str, Any]:
        if self.activity.engaged:
            self.stats.read()
        supervisor, feed = self.voice_controller.supervisor, self.activity.input
        return {
            **self.stats.statistics(),
            **self.faults.figures(),
            **self._silence.figures(),
            "latency_note": self._playout.note,
            "engine_pid": supervisor.pid,
            "engine_restarts": supervisor.restarts,
            "microphone_stalls": self.activity.stalls,
            "input_node": feed.name,
            "input_note": feed.note,
            "unlinked": self.activity.linking.trouble,
            "capturing": self.activity.capturing,
        }

    def watch_levels(self, on: bool) -> None:
        if on != self.levels.on:
            self.levels.turn(on)
            self.voice_controller.watch(on)

    def line(self) -> str:
        """The state in a few words."""
        status, fault = self.status, self.faults.shown
        text = f"{status.state}: {status.voice or 'no voice yet'}, {status.latency_ms:.0f} ms, mode {status.mode}"
        return f"{text}; {fault.message}" if fault.message else text

    # ---- asked by the core ----

    @property
    def pause_s(self) -> float:
        return LIVE_S if self.activity.engaged else IDLE_S

    @property
    def glance_s(self) -> float:
        return THRESHOLDS.glance_s if self.activity.engaged else IDLE_S

    def glance(self) -> None:
        """Between two ticks: what must be told within a second."""
        if self.activity.engaged:
            self._playout.glance(self._mode == "convert")

    def trouble(self) -> str:
        """Why systemd should replace this process, or nothing. An engine or a server that is being waited for is
        no reason: starting this process again would not bring it sooner."""
        return self.activity.trouble()

    async def tick(self, elapsed_s: float) -> None:
        """About once a second. Raises what has ended a task of ours: without it this process is of no use."""
        self.activity.check()
        await self.voice_controller.tick(elapsed_s)
        if self.activity.engaged:
            before, self._ticked = self._ticked, self.stats.read()
            if not self.levels.on:
                self.stats.read_levels()
            self._playout.look(elapsed_s, before, self.controls.gate_db)
        else:
            self._ticked = self._link.counters()
        self._silence.tick(elapsed_s, self._mode, self.controls)
        self._rehearsed_s += elapsed_s
        if self.activity.rehearsing and self._rehearsed_s > REHEARSAL_S:
            self.activity.rehearsing = False
        self.changed()

    # ---- told by Activity ----

    def graph_changed(self, rate: int, quantum: int) -> None:
        self.voice_controller.configure(self._playout.configuration(rate, quantum))

    def graph_left(self) -> None:
        self.voice_controller.suspend()

    # ---- told by VoiceController ----

    def controls_of(self, voice: str) -> Controls:
        return self._voice_settings.of(voice, self.controls)

    def voice_asked(self, voice: str, turned: Mapping[str, Any]) -> None:
        self._voice_settings.ask(voice, turned)

    def voice_stays(self, voice: str) -> None:
        controls = self.controls_of(voice)
        self._voice_settings.play(voice)
        self._turn_to(controls)

    def voice_on(self, voice: str) -> None:
        self.voice_stays(voice)
        self._playout.speaks(voice)
        self._rehearse()
        self.save()

    def planned(self, planned: Planned, voice: str) -> None:
        self._playout.plan(planned, voice)
        self._apply_mode()
        if self.activity.rehearsing:
            self.activity.rehearsing = False
            self.activity.poke()

    def unplanned(self) -> None:
        self._playout.drop()

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        self.stats.note_heartbeat(heartbeat)

    def engine_gone(self) -> None:
        self.stats.engine_gone()

    # ---- told by both ----

    def changed(self) -> None:
        if self.activity.tier:
            self.microphone_there.set()
        self._events.changed()

    def save(self) -> None:
        self._saver.changed()

    # ---- inside ----

    def _apply_mode(self) -> None:
        """Converting is begun only when there is a plan for it; a fresh link is mute."""
        if self._mode != "convert" or self._playout.planned is not None:
            self._link.set_mode(self._mode)

    def _turn(self, wanted: Mapping[str, Any]) -> None:
        """By the user: it holds for the voice that plays, and for the one that is being loaded."""
        if self.voice_controller.selection.loading:
            self._voice_settings.turn(wanted)
        self._turn_to(changed(self.controls, wanted))

    def _turn_to(self, controls: Controls) -> None:
        before, self.controls = self.controls, controls
        self._voice_settings.note(controls)
        if controls != before or self.voice_controller.selection.loading:
            self.voice_controller.send_controls()
        if controls != before:
            self.save()
            self.changed()

    def _state(self) -> str:
        if self.faults:
            return "degraded"
        if not self.activity.tier or not (self.voice_controller.converts or self.voice_controller.cooled):
            return "starting"
        if not self.activity.engaged:
            return "idle"
        return "live" if self._playout.planned else "starting"

    def _picture(self) -> Any:
        """What to write, taken now; written later, in a thread."""
        write_voices = self._voice_settings.writing()
        saved = replace(
            self._saved,
            voice=self.voice_controller.selection.wanted,
            input=self._input,
            channel=self._silence.channel if self._silence.channel != self._settings.audio.channel else "",
            mode=self._mode if self._mode != "bypass" or self._settings.privacy.pin_bypass else "convert",
            controls=self.controls,
            common=self._voice_settings.common,
        )

        def write() -> None:
            write_voices()
            self._file.save(saved)

        return write

    def _rehearse(self) -> None:
        """With nobody listening, the graph is entered for a moment, without links: the latency is known and the
        voice has its memory laid out before the first listener comes."""
        if not self.activity.engaged:
            self.activity.rehearsing, self._rehearsed_s = True, 0.0
            self.activity.poke()
