"""The one owner of truth. Faces ask and tell here; audio and engine answer here; nobody else decides.

    faces ── calls ──▶ Core ──▶ Life (client, microphone, links, listeners)
          ◀── events ──     ──▶ Voicing (choice of voice, supervisor, engine)
                            ──▶ Hold (latency) · Faults · Jobs · Saver

Everything runs in the event loop's thread; what may block goes to a thread and comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rwc_daemon.control.audience import Audience, LevelWatch, Status, own_version
from rwc_daemon.control.choice import Choice
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.figures import Figures
from rwc_daemon.control.floor import Audio
from rwc_daemon.control.heart import GLANCE_S, IDLE_S, LIVE_S, Heart
from rwc_daemon.control.hold import Hold
from rwc_daemon.control.jobs import Jobs
from rwc_daemon.control.life import Life
from rwc_daemon.control.memory import Memory
from rwc_daemon.control.saving import Saver
from rwc_daemon.control.shelving import Shelving
from rwc_daemon.control.silence.watch import SilenceWatch
from rwc_daemon.control.state import MODES, StateFile
from rwc_daemon.control.supervisor import Supervisor, engine_options
from rwc_daemon.control.voicing import Voicing
from rwc_daemon.controls import Controls, changed
from rwc_daemon.errors import OutOfRange
from rwc_daemon.host.journal import MODE, event
from rwc_daemon.host.notify import Notifier
from rwc_daemon.link.ring import Link
from rwc_daemon.messages import Beat, Planned, VoiceOn
from rwc_daemon.settings import Settings
from rwc_daemon.voices.builtin.voice import BUILTIN
from rwc_daemon.voices.shelf import Shelf

log = logging.getLogger(__name__)

REHEARSAL_S = 4.0


class Core:
    """Made without side effects but the shared memory; `start` and `stop` once each."""

    def __init__(
        self,
        settings: Settings,
        link: Link,
        make_audio: Callable[[Link, Settings, str], Audio],
        data_dir: Path,
        state_dir: Path,
        notifier: Notifier,
    ) -> None:
        self._settings, self._link = settings, link
        self._audience = Audience()
        self.attach = self._audience.attach
        self._file = StateFile(state_dir / "state.json")
        self._saved, self._damage = self._file.load()
        self._version = own_version()
        self.controls: Controls = self._saved.controls
        self._mode = self._saved.mode_after(settings.privacy.pin_bypass)
        self._input = self._saved.input
        audio = make_audio(link, settings, self._input)
        self.faults = Faults(self._audience.fault)
        self.jobs = Jobs(self._audience)
        self.figures = Figures(link, audio.client)
        self.levels = LevelWatch(self.figures, self._audience)
        self.life = Life(audio, settings.audio.listen == "always", self.faults, self)
        self.shelf = Shelf(data_dir)
        self._memory = Memory(self.shelf.store, self._saved.common, settings.state.remember_per_voice)
        self._silence = SilenceWatch(audio, self.life, self.figures, self.faults, self._saved.channel)
        choice = Choice(self._saved.voice, settings.voice.first)
        self.voicing = Voicing(self.shelf, choice, self.faults, self, settings.engine.keep_warm_s)
        self._hold = Hold(link, audio.client, self.figures, self.faults, settings.audio, self.voicing.keep)
        self.voicing.supervisor = Supervisor(
            link,
            data_dir,
            engine_options(settings),
            self.voicing.on_up,
            self.voicing.on_message,
            self.voicing.on_death,
        )
        self.shelving = Shelving(self.shelf, self.jobs, choice)
        self._saver = Saver(self._picture, self.faults)
        self._heart, self._in_journal = Heart(self, notifier, self.faults), notifier.on
        self._rehearsed_s = 0.0
        self._ticked = self.figures.counters  # of the tick before; whoever asks for statistics reads them meanwhile
        self.microphone_there = asyncio.Event()
        self.ended = asyncio.Event()
        # somebody said Quit
        self.beating: asyncio.Task[None]
        # from `start` on; it ends before `stop` only with an error inside this process

    # ---- start and stop ----

    async def start(self, before: str = "") -> None:
        """`before`: what became of the daemon before this one, where it ended unasked: "was killed (SIGKILL)"."""
        if before:
            told = "; 'rwcctl logs' shows what came before" if self._in_journal else ""
            self.faults.happened("Interrupted", f"rwc-daemon {before}: RWC Mic was silent until it ran again{told}")
        if self._damage:
            self.faults.happened("BadState", self._damage)
        self.voicing.supervisor.start()
        self._silence.start()
        self.life.start()
        self.beating = asyncio.get_running_loop().create_task(self._heart.run(), name="heart")

    async def stop(self) -> None:
        self.watch_levels(False)
        self.beating.cancel()
        with suppress(asyncio.CancelledError):
            await self.beating
        await self.jobs.stop()
        await self.life.stop()
        await self.voicing.supervisor.stop()
        await self._saver.stop()

    # ---- asked by faces; what is refused has changed nothing ----

    @property
    def status(self) -> Status:
        choice, counters = self.voicing.choice, self.figures.counters
        return Status(
            mode=self._mode,
            input=self._input,
            input_channel=self._silence.channel,
            voice=choice.playing,
            loading=choice.loading,
            microphone=self.life.tier,
            state=self._state(),
            device=self.voicing.device,
            latency_ms=self.figures.latency.total_ms,
            load=self.figures.beat.load,
            listeners=self.life.listeners,
            xruns=counters.xruns,
            underruns=counters.underruns,
            version=self._version,
        )

    def set_controls(self, wanted: Mapping[str, Any]) -> None:
        """All of them or none; raises NoSuchControl or OutOfRange."""
        self._turn_to(changed(self.controls, wanted))

    def reset_controls(self) -> None:
        self._turn_to(Controls())

    def reset_latency(self) -> None:
        """Back to what a calm machine needs; whoever listens hears one dip of 10 ms."""
        self._hold.forget()
        self._rehearse()  # with nobody listening: so that the figure shown is the new one
        self.changed()

    def set_mode(self, mode: str) -> None:
        """`bypass` plays the bare voice: nothing but this call sets it."""
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
        self._input = await self.life.choose_input(name)
        self.save()
        self.changed()

    def set_input_channel(self, channel: str) -> None:
        """Raises OutOfRange."""
        self._silence.choose_channel(channel)
        self.save()
        self.changed()

    def statistics(self) -> dict[str, Any]:
        if self.life.engaged:
            self.figures.read()
        supervisor, feed = self.voicing.supervisor, self.life.input
        return {
            **self.figures.statistics(),
            **self.faults.figures(),
            **self._silence.figures(),
            "latency_note": self._hold.note,
            "engine_pid": supervisor.pid,
            "engine_restarts": supervisor.restarts,
            "microphone_stalls": self.life.stalls,
            "input_node": feed.name,
            "input_note": feed.note,
            "unlinked": self.life.linking.trouble,
            "capturing": self.life.capturing,
        }

    def watch_levels(self, on: bool) -> None:
        if on != self.levels.on:
            self.levels.turn(on)
            self.voicing.watch(on)

    def line(self) -> str:
        """The state in a few words."""
        status, fault = self.status, self.faults.shown
        text = f"{status.state}: {status.voice or 'no voice yet'}, {status.latency_ms:.0f} ms, mode {status.mode}"
        return f"{text}; {fault.message}" if fault.message else text

    def quit(self) -> None:
        self.ended.set()

    # ---- asked by the heart ----

    @property
    def pause_s(self) -> float:
        return LIVE_S if self.life.engaged else IDLE_S

    @property
    def glance_s(self) -> float:
        return GLANCE_S if self.life.engaged else IDLE_S

    def glance(self) -> None:
        """Between two ticks: what must be told within a second."""
        if self.life.engaged:
            self._hold.glance(self._mode == "convert")

    def trouble(self) -> str:
        """Why systemd should replace this process, or nothing. An engine or a server that is being waited for is
        no reason: starting this process again would not bring it sooner."""
        return self.life.trouble()

    async def tick(self, elapsed_s: float) -> None:
        """About once a second. Raises what has ended a task of ours: without it this process is of no use."""
        self.life.check()
        await self.voicing.tick(elapsed_s)
        if self.life.engaged:
            before, self._ticked = self._ticked, self.figures.read()
            if not self.levels.on:
                self.figures.read_levels()
            self._hold.look(elapsed_s, before, self.controls.gate_db)
        else:
            self._ticked = self._link.counters()
        self._silence.tick(elapsed_s, self._mode, self.controls)
        self._rehearsed_s += elapsed_s
        if self.life.rehearsing and self._rehearsed_s > REHEARSAL_S:
            self.life.rehearsing = False
        self.changed()

    # ---- told by Life ----

    def graph_changed(self, rate: int, quantum: int) -> None:
        self.voicing.configure(self._hold.configuration(rate, quantum))

    def graph_left(self) -> None:
        self.voicing.rest()

    # ---- told by Voicing ----

    def voice_on(self, voice: VoiceOn) -> None:
        stored = voice.voice if voice.voice not in BUILTIN else ""
        self._turn_to(self._memory.turn_to(stored, self.controls))
        self._hold.speaks(voice.voice)
        self._rehearse()
        self.save()

    def planned(self, planned: Planned, voice: str) -> None:
        self._hold.plan(planned, voice)
        self._apply_mode()
        if self.life.rehearsing:
            self.life.rehearsing = False
            self.life.poke()

    def unplanned(self) -> None:
        self._hold.drop()

    def beat(self, beat: Beat) -> None:
        self.figures.beats(beat)

    def engine_gone(self) -> None:
        self.figures.engine_gone()

    # ---- told by both ----

    def changed(self) -> None:
        if self.life.tier:
            self.microphone_there.set()
        self._audience.changed()

    def save(self) -> None:
        self._saver.changed()

    # ---- inside ----

    def _apply_mode(self) -> None:
        """Converting is begun only when there is a plan for it; a fresh link is mute."""
        if self._mode != "convert" or self._hold.planned is not None:
            self._link.set_mode(self._mode)

    def _turn_to(self, controls: Controls) -> None:
        if controls == self.controls:
            return
        self.controls = controls
        self.voicing.send_controls()
        self.save()
        self.changed()

    def _state(self) -> str:
        if self.faults:
            return "degraded"
        if not self.life.tier or not (self.voicing.converts or self.voicing.cooled):
            return "starting"
        if not self.life.engaged:
            return "idle"
        return "live" if self._hold.planned else "starting"

    def _picture(self) -> Any:
        """What to write, taken now; written later, in a thread."""
        controls = self.controls
        saved = replace(
            self._saved,
            voice=self.voicing.choice.wanted,
            input=self._input,
            channel=self._silence.channel if self._silence.channel != self._settings.audio.channel else "",
            mode=self._mode if self._mode != "bypass" or self._settings.privacy.pin_bypass else "convert",
            controls=controls,
        )

        def write() -> None:
            self._memory.keep(controls)
            self._file.save(replace(saved, common=self._memory.common))

        return write

    def _rehearse(self) -> None:
        """With nobody listening, the graph is entered for a moment, without links: the latency is known and the
        voice has its memory laid out before the first listener comes."""
        if not self.life.engaged:
            self.life.rehearsing, self._rehearsed_s = True, 0.0
            self.life.poke()
