"""The daemon's one in-process API: all that a face may ask, and all that it is told.

Faces translate it and decide nothing: D-Bus here, `rwcctl` and the gateway over D-Bus. Everything belongs to the event
loop's thread. What is refused raises one of our errors, and has changed nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from rwc_daemon.audio.routing import Input
from rwc_daemon.control.core import Core
from rwc_daemon.control.events import Status
from rwc_daemon.control.subscription import (
    FaultReported,
    JobAdvanced,
    JobEnded,
    LevelsMeasured,
    StateChanged,
    Subscription,
    Told,
)
from rwc_daemon.controls import Controls
from rwc_daemon.voices.base import VoiceInfo

__all__ = [
    "DaemonApi",
    "FaultReported",
    "JobAdvanced",
    "JobEnded",
    "LevelsMeasured",
    "StateChanged",
    "Status",
    "Subscription",
    "Told",
]


class DaemonApi:
    """One for all faces of a core."""

    def __init__(self, core: Core) -> None:
        self._core, self._first = core, core.first
        self._level_watchers: set[Hashable] = set()

    # ---- the state ----

    @property
    def status(self) -> Status:
        return self._first.status

    @property
    def controls(self) -> Controls:
        return self._first.controls

    def statistics(self) -> dict[str, Any]:
        """Returns every counter and timing, each with its unit in its name."""
        return self._first.statistics()

    # ---- voices ----

    async def voices(self) -> list[VoiceInfo]:
        """Returns all voices: those that come with the package first, then the user's by name."""
        return await self._core.library.list()

    async def load(self, voice: str) -> None:
        """Asks for a voice; returns once it is known and queued. Raises NoSuchVoice."""
        await self._first.load(voice)

    async def use(self, voice: str, controls: Mapping[str, Any] | None = None) -> str:
        """Switches to a voice and returns its id when it converts. `controls` are those it begins with, above its own.

        Raises what is against this request: NoSuchVoice, NoSuchControl, OutOfRange, what loading raises, EngineFailed,
        Superseded by a newer request, NotReady when the daemon stops.
        """
        return await self._first.use(voice, controls or {})

    def import_voice(self, path: str, options: Mapping[str, Any]) -> int:
        """Starts an import and returns its job's number. Raises OutOfRange, BadModel, Busy."""
        return self._core.library.bring_in(path, options)

    async def remove_voice(self, voice: str) -> None:
        """Deletes a voice of the user. Raises NoSuchVoice; Busy for the one in use, Unsupported for a shipped one."""
        await self._core.remove_voice(voice)

    def cancel_job(self, job: int) -> None:
        """Asks a job to stop. Raises NoSuchJob."""
        self._core.jobs.cancel(job)

    # ---- what one sets ----

    def set_controls(self, wanted: Mapping[str, Any]) -> None:
        """Sets all of them or none. Raises NoSuchControl or OutOfRange."""
        self._first.set_controls(wanted)

    def reset_controls(self) -> None:
        self._first.reset_controls()

    def reset_latency(self) -> None:
        """Drops the slack that a busy machine has taught, back to what a calm one needs."""
        self._first.reset_latency()

    def set_mode(self, mode: str) -> None:
        """Sets `convert`, `mute` or `bypass`, which plays the unprocessed voice. Raises OutOfRange."""
        self._first.set_mode(mode)

    async def inputs(self) -> list[Input]:
        """Returns the microphones that can feed the daemon."""
        return await self._first.activity.inputs()

    async def set_input(self, name: str) -> None:
        """Chooses the microphone, or "default". Raises NoSuchInput."""
        await self._first.set_input(name)

    def set_input_channel(self, channel: str) -> None:
        """Chooses the channel of a stereo microphone. Raises OutOfRange."""
        self._first.set_input_channel(channel)

    # ---- what it tells by itself ----

    def subscribe(self) -> Subscription:
        """Returns the events from now on: what was set at once, figures at most ten times a second."""
        subscription = Subscription(self._state, self._core.detach)
        self._core.attach(subscription)
        return subscription

    def watch_levels(self, watcher: Hashable, on: bool) -> None:
        """Levels are measured and told while any watcher wants them; one that leaves takes nothing from the others."""
        (self._level_watchers.add if on else self._level_watchers.discard)(watcher)
        self._first.watch_levels(bool(self._level_watchers))

    def report(self, code: str, message: str) -> None:
        """Takes in a fault of a face itself: told, logged and over."""
        self._first.faults.happened(code, message)

    def quit(self) -> None:
        """Ends the daemon in order."""
        self._core.quit()

    def _state(self) -> StateChanged:
        return StateChanged(self.status, self.controls)
