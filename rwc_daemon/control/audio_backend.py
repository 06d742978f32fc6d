"""The audio floor of this machine: PipeWire where it runs, plain JACK2 where only that does, whenever that is."""

from __future__ import annotations

from dataclasses import dataclass

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.either import EitherGraph
from rwc_daemon.audio.listeners import Listeners
from rwc_daemon.audio.microphone import Microphone
from rwc_daemon.audio.output import OutputWatch
from rwc_daemon.audio.programs import SERVER
from rwc_daemon.audio.routing import Router
from rwc_daemon.audio.strays import Strays
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.settings import Settings


@dataclass(frozen=True)
class AudioBackend:
    """The parts of the audio floor, on one view of the graph."""

    client: AudioClient
    watch: EitherGraph
    microphone: Microphone
    router: Router
    listeners: Listeners
    strays: Strays
    output: OutputWatch

    @property
    def ports_only(self) -> bool:
        """Plain JACK2: the graph is seen through our own client, so that stays open."""
        return self.watch.ports_only

    def follow(self) -> None:
        """From now on the view is kept up to date; may wait for a server for a moment. Raises NoAudioServer."""
        self.watch.follow()
        self.listeners.ports_only = self.ports_only

    def leave(self) -> None:
        """Nothing of ours is left in the graph, but for a node that a systemd unit holds."""
        self.microphone.stop()
        self.watch.stop()


def open_audio_backend(link: SharedRings, settings: Settings, saved_input: str) -> AudioBackend:
    """Nothing is opened yet. `saved_input`: need not be plugged in."""
    audio = settings.audio
    client = AudioClient(link, audio.client_name)
    watch = EitherGraph(lambda: client.jack)
    client.identity = lambda: watch.graph().identity(SERVER)
    return AudioBackend(
        client=client,
        watch=watch,
        microphone=Microphone(watch),
        router=Router(watch, client, saved_input, audio.channel),
        listeners=Listeners(watch, audio.client_name, mute_lost=settings.privacy.mute_lost_recorders),
        strays=Strays(watch, client),
        output=OutputWatch(watch, client),
    )
