"""The daemon: its microphones, and what they share. Faces ask and tell here.

    faces ── calls ──▶ Core ──▶ MicrophoneCore, one for each microphone by its name
          ◀── events ──     ──▶ EnginePool · VoiceLibrary · Jobs · Watchdog

Everything runs in the event loop's thread; what may block goes to a thread and comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.control.engine_pool import EnginePool, engine_options
from rwc_daemon.control.events import Events
from rwc_daemon.control.jobs import Jobs
from rwc_daemon.control.microphone_core import MicrophoneCore
from rwc_daemon.control.voice_library import VoiceLibrary
from rwc_daemon.control.watchdog import Watchdog
from rwc_daemon.host.notify import Notifier
from rwc_daemon.host.state import StateFile
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.settings import Settings
from rwc_daemon.voices.repository import VoiceRepository

FIRST = "rwc_mic"  # the name of the microphone that is always there


class Core:
    """Made without side effects but the shared memory; `start` and `stop` once each."""

    def __init__(
        self,
        settings: Settings,
        link: SharedRings,
        make_audio: Callable[[SharedRings, Settings, str], AudioBackend],
        data_dir: Path,
        state_dir: Path,
        notifier: Notifier,
    ) -> None:
        """`link`: of the first microphone."""
        self._events = Events()
        self.attach, self.detach = self._events.attach, self._events.detach
        self.jobs = Jobs(self._events)
        repository, engines = VoiceRepository(data_dir), EnginePool(data_dir, engine_options(settings))
        file = StateFile(state_dir / "state.json")
        self.first = MicrophoneCore(settings, link, make_audio, file, repository, engines, self._events)
        self.microphones = {FIRST: self.first}
        self.library = VoiceLibrary(repository, self.jobs, self._in_use)
        self._watchdog, self._in_journal = Watchdog(self, notifier, self.first.faults), notifier.on
        self.ended = asyncio.Event()
        # somebody said Quit
        self.ticking: asyncio.Task[None]
        # from `start` on; it ends before `stop` only with an error inside this process

    # ---- start and stop ----

    async def start(self, before: str = "") -> None:
        """`before`: what became of the daemon before this one, where it ended unasked: "was killed (SIGKILL)"."""
        if before:
            told = "; 'rwcctl logs' shows what came before" if self._in_journal else ""
            words = f"rwc-daemon {before}: RWC Mic was silent until it ran again{told}"
            self.first.faults.happened("Interrupted", words)
        for microphone in self.microphones.values():
            microphone.start()
        self.ticking = asyncio.get_running_loop().create_task(self._watchdog.run(), name="watchdog")

    async def stop(self) -> None:
        self.ticking.cancel()
        with suppress(asyncio.CancelledError):
            await self.ticking
        for microphone in self.microphones.values():
            microphone.ends()
        await self.jobs.stop()
        for microphone in self.microphones.values():
            await microphone.stop()

    # ---- asked by faces ----

    async def remove_voice(self, voice: str) -> None:
        """Raises NoSuchVoice; Busy for a voice in use, Unsupported for a built-in one."""
        removed = await self.library.remove(voice)
        for microphone in self.microphones.values():
            microphone.forget_voice(removed)

    def quit(self) -> None:
        self.ended.set()

    # ---- asked by the watchdog ----

    @property
    def pause_s(self) -> float:
        return min(microphone.pause_s for microphone in self.microphones.values())

    @property
    def glance_s(self) -> float:
        return min(microphone.glance_s for microphone in self.microphones.values())

    def glance(self) -> None:
        for microphone in self.microphones.values():
            microphone.glance()

    def trouble(self) -> str:
        """Why systemd should replace this process, or nothing."""
        return next(filter(None, (microphone.trouble() for microphone in self.microphones.values())), "")

    async def tick(self, elapsed_s: float) -> None:
        """About once a second. Raises what has ended a task of ours: without it this process is of no use."""
        for microphone in list(self.microphones.values()):
            await microphone.tick(elapsed_s)

    def line(self) -> str:
        """The state in a few words, for systemd."""
        return self.first.line()

    # ---- inside ----

    def _in_use(self) -> set[str]:
        """Voices that a microphone plays, loads or comes back with."""
        selections = [microphone.voice_controller.selection for microphone in self.microphones.values()]
        return {voice for one in selections for voice in (one.playing, one.loading, one.wanted)}
