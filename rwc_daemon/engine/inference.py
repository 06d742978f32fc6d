"""The inference thread: mic ring → deck → voice ring, for as long as somebody listens.

It is woken by the callback once a block, or by an order from the channel's thread. Orders are taken between blocks, so
that nothing in here needs a lock.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rwc_daemon.controls import Controls
from rwc_daemon.engine.deck import Deck
from rwc_daemon.engine.loader import Loaded
from rwc_daemon.engine.meter import Meter
from rwc_daemon.engine.stream import Stream
from rwc_daemon.engine.watch import PitchWatch
from rwc_daemon.link.ring import Link
from rwc_daemon.messages import Beat, Configure, EngineFault, Message, Planned, Rest, VoiceOn, Watch
from rwc_daemon.plan import Plan

BEAT_S = 1.0
WATCHED_BEAT_S = 0.1
SLOW_MS = 4.0  # a voice faster than this needs no slack of its own
SLACK_SHARE = 1.5  # of a typical warm block
log = logging.getLogger(__name__)

Order = Configure | Rest | Watch | Controls | Loaded | None  # None: stop


@dataclass
class Graph:
    """The graph as last told, or at rest."""

    rate: int
    quantum: int
    slack_ms: float


class Inference:
    """Everything that the inference thread owns. `orders` is the only door in."""

    def __init__(self, link: Link, generation: int, controls: Controls, send: Callable[[Message], None]) -> None:
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._link, self._generation, self._send = link, generation, send
        self._controls = controls
        self._graph: Graph | None = None
        self._loaded: Loaded | None = None
        self._deck: Deck | None = None
        self._meter, self._watch = Meter(), PitchWatch()
        self._spoiled = 0
        self._next_beat_s = 0.0

    def run(self) -> None:
        """Until the order to stop."""
        while self._take_orders():
            self._beat()
            if self._deck is None:
                self._link.join(self._generation)  # what nobody will convert must not keep us awake
            self._link.wait(WATCHED_BEAT_S if self._watch.on else BEAT_S)
            self._convert_ready()

    # ---- orders ----

    def _take_orders(self) -> bool:
        while not self.orders.empty():
            match self.orders.get():
                case None:
                    return False
                case Controls() as controls:
                    self._set_controls(controls)
                case Configure() as wanted:
                    self._configure(wanted)
                case Rest():
                    self._graph = self._deck = None
                case Watch() as wish:
                    self._watch = PitchWatch(wish.on)
                case Loaded() as loaded:
                    self._play(loaded)
        return True

    def _set_controls(self, controls: Controls) -> None:
        self._controls = controls
        if self._deck is not None:
            self._deck.set_controls(controls)

    def _configure(self, wanted: Configure) -> None:
        """A new graph: everything of the old one is forgotten, the newest sample is the first."""
        self._graph = Graph(wanted.rate, wanted.quantum, wanted.slack_ms)
        self._deck = None
        if self._loaded is not None:
            self._deck = Deck(self._stream(self._loaded))
            self._publish(self._deck.stream)
            self._link.join(self._generation)

    def _play(self, loaded: Loaded) -> None:
        """Take a voice: at once where nothing plays, else beside the one that does."""
        self._loaded = loaded
        if self._graph is not None and self._deck is None:
            self._deck = Deck(self._stream(loaded))
            self._publish(self._deck.stream)
            self._link.join(self._generation)
        elif self._deck is not None:
            self._deck.switch(self._stream(loaded))
            return  # VoiceOn is said when it has taken over
        self._announce()

    def _announce(self) -> None:
        assert self._loaded is not None
        voice = self._loaded.voice
        self._send(VoiceOn(voice.info.id, getattr(voice, "device", "cpu"), self._loaded.load_ms))

    def _stream(self, loaded: Loaded) -> Stream:
        assert self._graph is not None
        slow_ms = SLACK_SHARE * loaded.compute_ms if loaded.compute_ms > SLOW_MS else 0.0
        plan = Plan.fit(self._graph.rate, self._graph.quantum, loaded.voice.block, self._graph.slack_ms + slow_ms)
        return Stream(loaded.voice, plan, self._controls)

    def _publish(self, stream: Stream) -> None:
        """The new sizes, to the callback first and then to the daemon."""
        plan = stream.plan
        self._link.set_hold(plan.hold, plan.slack)
        self._link.set_wake(plan.block)
        self._send(Planned(plan.rate, plan.quantum, plan.block, plan.slack, stream.delay))

    # ---- blocks ----

    def _convert_ready(self) -> None:
        while self.orders.empty() and self._deck is not None and self._link.available() >= self._deck.missing:
            self._convert_one(self._deck)
            self._beat()

    def _convert_one(self, deck: Deck) -> None:
        x = self._link.read(deck.missing)
        if self._link.lag() >= deck.stream.plan.block:
            deck.skip(x)
            self._link.write(np.zeros_like(x))
            self._meter.skip(len(x))
            return
        begin = time.perf_counter()
        before = deck.stream
        y = deck.feed(x)
        self._link.write(y)
        self._meter.count(time.perf_counter() - begin, len(x) / before.plan.rate)
        self._watch.hear(x, y, before.plan.rate)
        self._check(deck.stream)
        if deck.stream is not before:
            if deck.stream.plan != before.plan:
                self._publish(deck.stream)
            self._announce()

    def _check(self, stream: Stream) -> None:
        if stream.spoiled and not self._spoiled:
            name = self._loaded.voice.info.id if self._loaded else "this voice"
            self._send(
                EngineFault("BadModel", f"'{name}' gives broken numbers; silence is played: choose another voice")
            )
        self._spoiled = stream.spoiled

    # ---- signs of life ----

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat_s:
            return
        self._next_beat_s = now + (WATCHED_BEAT_S if self._watch.on else BEAT_S)
        self._send(self._figures())

    def _figures(self) -> Beat:
        return self._meter.beat(*self._watch.pitches_hz())
