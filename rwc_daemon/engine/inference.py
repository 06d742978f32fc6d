"""A stream's inference thread: mic ring → switcher → voice ring, for as long as somebody listens.

It is woken by the callback once a block, or by an order from the channel's thread. Orders are taken between blocks, so
that nothing in here needs a lock.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import replace

from rwc_daemon.controls import FIXED, Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.conversion.voice_switcher import VoiceSwitcher
from rwc_daemon.engine.gpu_errors import gpu_trouble
from rwc_daemon.engine.load_meter import LoadMeter
from rwc_daemon.engine.load_request import (
    LoadedVoice,
    LoadFailed,
    LoadRequest,
    PrewarmedStep,
    StreamConfig,
    fixed_controls,
)
from rwc_daemon.engine.loader import Loader
from rwc_daemon.engine.native_loading import use_threads
from rwc_daemon.engine.neighbours import Neighbours
from rwc_daemon.engine.overload import OverloadController
from rwc_daemon.engine.pitch_meter import PitchMeter
from rwc_daemon.engine.playout import Playout
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import (
    Configure,
    EngineFault,
    Heartbeat,
    Message,
    RequestUnmet,
    SetSlack,
    Suspend,
    VoiceFailed,
    VoiceOn,
    WatchPitch,
)
from rwc_daemon.plan import Plan, compute_slack_ms
from rwc_daemon.thresholds import THRESHOLDS
from rwc_daemon.voices.base import Adjustable, Voice

HEARTBEAT_S = 1.0
WATCHED_HEARTBEAT_S = 0.1
CONTEXT_S = 1.0  # of what came too late is heard by a voice that does so without rendering
BEFORE_BLOCK = 0.2  # of a block before the next one is whole: no op is begun
SPARE = 1.5  # of the slowest of the last blocks: so long before it is wanted a block is begun at the latest
FORGETTING = 0.99  # a block
log = logging.getLogger(__name__)

Order = (
    Configure | SetSlack | Suspend | WatchPitch | StreamConfig | LoadedVoice | PrewarmedStep | LoadFailed | None
)  # None: stop


class Inference:
    """Everything that the inference thread owns. `orders` is the only door in."""

    def __init__(
        self,
        link: SharedRings,
        generation: int,
        config: StreamConfig,
        loader: Loader,
        send: Callable[[Message], None],
        thread_budget: ThreadBudget,
        neighbours: Neighbours,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._link, self._generation, self._loader, self._send = link, generation, loader, send
        self._config, self._clock = config, clock
        self._graph: Configure | None = None  # as last told
        self._loaded: LoadedVoice | None = None  # the one that plays
        self._coming: LoadedVoice | None = None  # the one that is about to
        self._switcher: VoiceSwitcher | None = None
        self._playout = Playout(link, send)
        self._meter, self._pitch_meter = LoadMeter(), PitchMeter()
        self._thread_budget, self._threads = thread_budget, 0  # as wanted, and as this thread's nets were told
        self._overload = OverloadController(thread_budget, loader.request, send)
        self._neighbours, self._op_queue = neighbours, neighbours.op_queue
        loader.threads, loader.op_queue = (lambda: thread_budget.threads), self._op_queue
        loader.quiet = lambda: neighbours.quiet
        self._slowest_s = 0.0  # of the last blocks
        self._spoiled = 0
        self._behind = False  # something was dropped, and the slack is not filled again
        self._request_unmet = False  # something the user asked of the playing voice
        self._next_heartbeat_s = self._next_look_s = 0.0

    @property
    def plays(self) -> bool:
        return self._switcher is not None

    @property
    def runs_nets(self) -> bool:
        switcher = self._switcher  # of another thread
        return switcher is not None and switcher.stream.costly

    def uses(self, voice: Voice) -> bool:
        return any(loaded is not None and loaded.voice is voice for loaded in (self._loaded, self._coming))

    def wake(self) -> None:
        self._link.wake()

    def run(self) -> None:
        """Until the order to stop."""
        self._neighbours.join(self)
        try:
            self._run()
        finally:
            self._neighbours.leave(self)

    def _run(self) -> None:
        while self._take_orders():
            self._send_heartbeat()
            if self._switcher is None:
                self._link.join(self._generation)  # what nobody will convert must not wanted us awake
            else:
                self._link.set_wake(self._switcher.block)
            self._link.wait(WATCHED_HEARTBEAT_S if self._pitch_meter.on else HEARTBEAT_S)
            self._convert_ready()
            self._threads = self._op_queue.run_pending(self._idle) or self._threads

    def _idle(self) -> bool:
        """Between two blocks, for one more op; and none so late that what comes of it is in the next one's way."""
        self._send_heartbeat()
        time_left = self._switcher is None or self._link.available() < self._switcher.block * (1 - BEFORE_BLOCK)
        own = self.runs_nets or not self._neighbours.nets  # a light voice's blocks are too short for others' operations
        return own and time_left and self.orders.empty()

    # ---- orders ----

    def _take_orders(self) -> bool:
        while not self.orders.empty():
            match self.orders.get():
                case None:
                    return False
                case StreamConfig() as config:
                    self._set_controls(config)
                case Configure() as wanted:
                    self._configure(wanted)
                case SetSlack() as wanted:
                    self._set_slack(wanted)
                case Suspend():
                    self._graph = self._switcher = None
                    self._come()
                    self._overload.suspends()
                case WatchPitch() as wanted:
                    self._pitch_meter = PitchMeter(wanted.on)
                case LoadedVoice() as loaded:
                    self._play(loaded)
                case PrewarmedStep() as warmed:
                    self._overload.warmed(warmed)
                case LoadFailed() as failed:
                    self._fail(failed)
        return True

    def _set_controls(self, config: StreamConfig) -> None:
        """Every stream hears the controls of its own voice."""
        before, self._config = self._config, config
        for stream in self._switcher.streams if self._switcher is not None else ():
            stream.take(config.of(stream.voice.info.id))
        newest = self._coming or self._loaded
        if newest is not None:
            self._ask_again(newest, before.of(newest.voice.info.id))

    def _ask_again(self, loaded: LoadedVoice, before: Controls) -> None:
        """A session is made for some controls: where the user has turned one of those, the voice is loaded again."""
        controls = self._config.of(loaded.voice.info.id)
        if isinstance(loaded.voice, Adjustable) and fixed_controls(before) != fixed_controls(controls):
            self._loader.request(LoadRequest(loaded.voice.info.id, controls))

    def _configure(self, wanted: Configure) -> None:
        """A new graph: everything of the old one is forgotten, the newest sample is the first."""
        self._graph = wanted
        self._playout.configure(wanted)
        self._switcher = None
        self._come()
        if self._loaded is not None:
            self._begin(self._loaded)
            self._tell_quality()

    def _set_slack(self, wanted: SetSlack) -> None:
        if self._switcher is None:
            return
        self._playout.set_slack(wanted, self._switcher.stream)

    def _play(self, loaded: LoadedVoice) -> None:
        """Take a voice: at once where nothing plays, else beside the one that does."""
        newest = self._coming or self._loaded
        if loaded.reduced and (newest is None or newest.voice is not loaded.voice):
            return  # another step of a voice that was left meanwhile
        if loaded.unmet is not None and newest is not None and newest.voice is loaded.voice:
            self._fail(replace(loaded.unmet, number=loaded.number))  # it plays on as it is
            return
        if self._graph is not None and self._switcher is not None:
            self._switch(self._switcher, loaded)
            return
        before, self._loaded = self._loaded, loaded
        if self._graph is not None:
            self._begin(loaded)
        self._announce(before)

    def _switch(self, switcher: VoiceSwitcher, loaded: LoadedVoice) -> None:
        """Changes to a voice. It is announced when it has taken over: at once, or after two voices have played side by
        side. A longer playout is set before the past is taken in: the time for that would be heard as a gap."""
        before, coming = switcher.stream, self._stream(loaded)
        self._coming = loaded
        longer = coming.plan.playout > before.plan.playout
        if longer:
            self._playout.begin(coming, before)
        switcher.switch(coming)
        if switcher.stream is coming:
            if not longer:
                self._playout.begin(coming, before)
            self._took_over()

    def _fail(self, failed: LoadFailed) -> None:
        newest = self._coming or self._loaded
        self._overload.fails()
        if failed.level is not None:
            self._overload.refused(failed.voice, failed.level)
        elif newest is not None and newest.voice.info.id == failed.voice:
            self._request_unmet = True
            self._send(RequestUnmet(failed.code, failed.message))
            if failed.number:
                self._send(VoiceFailed(failed.voice, failed.code, failed.message, failed.number))
        else:
            self._send(VoiceFailed(failed.voice, failed.code, failed.message, failed.number))

    def _come(self) -> None:
        """What was about to play is what plays next: there is nothing to change over from."""
        if self._coming is not None:
            self._took_over()
        self._overload.fails()

    def _begin(self, loaded: LoadedVoice) -> None:
        self._switcher = VoiceSwitcher(self._stream(loaded))
        self._meter.start_over()
        self._playout.begin(self._switcher.stream)
        self._link.join(self._generation)

    def _announce(self, before: LoadedVoice | None) -> None:
        assert self._loaded is not None
        voice, number = self._loaded.voice, self._loaded.number
        other = before is None or before.voice is not voice
        if other or number:
            device = getattr(voice, "device", "cpu")
            self._send(VoiceOn(voice.info.id, device, self._loaded.load_ms, number, voice.info.kind))
            if other and self._loaded.unmet is None:
                self._ask_again(self._loaded, self._loaded.asked)  # the user may have turned a control meanwhile
        self._tell_unmet(self._loaded)
        self._overload.plays(self._loaded)
        self._tell_quality()

    def _tell_unmet(self, loaded: LoadedVoice) -> None:
        unmet = loaded.unmet
        if unmet is not None:
            self._request_unmet = True
            self._send(RequestUnmet(unmet.code, unmet.message))
        elif self._request_unmet and not loaded.reduced:
            self._request_unmet = False
            self._send(RequestUnmet())

    def _tell_quality(self) -> None:
        if self._switcher is not None:
            plan = self._switcher.stream.plan
            self._overload.heard(plan.ms(plan.block))

    def _stream(self, loaded: LoadedVoice) -> Stream:
        assert self._graph is not None
        graph, parallel = self._graph, min(loaded.threads, self._thread_budget.threads) > 1
        cycle_ms = 1000 * graph.quantum / graph.rate
        slack_ms = graph.slack_ms + compute_slack_ms(loaded.compute_ms, loaded.block.ms, cycle_ms, parallel)
        plan = Plan.fit(graph.rate, graph.quantum, loaded.block, slack_ms)
        kept = {name: getattr(loaded.controls, name) for name in FIXED}
        return Stream(loaded.voice, plan, replace(self._config.of(loaded.voice.info.id), **kept))

    # ---- blocks ----

    def _convert_ready(self) -> None:
        while self.orders.empty() and self._switcher is not None and self._link.available() >= self._switcher.block:
            try:
                self._convert_one(self._switcher)
            except RuntimeError as error:
                if not gpu_trouble(error):
                    raise
                self._lose_gpu(error)
            self._send_heartbeat()
            self._look()

    def _convert_one(self, switcher: VoiceSwitcher) -> None:
        plan = switcher.stream.plan
        if late := self._late_blocks(switcher):
            self._skip(switcher, late)
            return
        x = self._link.read(plan.block)
        self._apply_threads(switcher.stream)
        before = switcher.stream
        with self._neighbours.turns(before.costly).turn(*self._due(plan)):
            begin = time.perf_counter()
            y = switcher.feed(x)
            self._link.write(y)
            compute_s = time.perf_counter() - begin
        self._slowest_s = max(compute_s, FORGETTING * self._slowest_s)
        self._meter.count(compute_s, plan.block / plan.rate, before.spoken)
        self._pitch_meter.hear(x, y, plan.rate)
        self._check(switcher.stream)
        if switcher.stream is not before:
            self._playout.begin(switcher.stream, before)
            self._took_over()

    def _due(self, plan: Plan) -> tuple[float, float]:
        """When the next block is wanted, and when it must be begun at the latest; time.monotonic()."""
        wanted_s = time.monotonic() - (self._link.lag() + self._playout.slack // 4) / plan.rate
        return wanted_s, wanted_s - SPARE * self._slowest_s

    def _late_blocks(self, switcher: VoiceSwitcher) -> int:
        """How many blocks to drop. Those that are too late to be heard; but where that happens again before the slack
        is filled, computing hardly gains on time, and RWC Mic would wait for the slack for as long as that lasts. A
        voice that costs little to begin again then drops all that is there, and its next block is in time."""
        plan, lag = switcher.stream.plan, self._link.lag()
        self._behind = self._behind and lag > -self._playout.slack
        late = max(0, lag) // plan.block
        if not late:
            return 0
        again, self._behind = self._behind, True
        return self._link.available() // plan.block if again and not switcher.stream.costly else late

    def _skip(self, switcher: VoiceSwitcher, blocks: int) -> None:
        """So many blocks come too late to be heard. The newest of them are context; the older ones are dropped unheard,
        because a cheap voice takes as long to hear a block as to convert it, and would never catch up."""
        plan = switcher.stream.plan
        context_s = CONTEXT_S if switcher.stream.costly else 0.0
        kept = min(blocks, max(1, int(context_s * plan.rate) // plan.block))
        x = self._link.read(blocks * plan.block)
        switcher.skip(x[-kept * plan.block :])
        self._link.write_nothing(len(x))
        self._meter.skip(len(x), plan.rate)

    def _apply_threads(self, stream: Stream) -> None:
        """Where other streams run nets too, each has one thread: that is what they are all warmed for."""
        if not stream.costly:
            return
        wanted = self._overload.threads if self._neighbours.nets <= 1 else 1
        if self._threads != wanted:
            self._threads = wanted
            use_threads(wanted)

    def _took_over(self) -> None:
        assert self._coming is not None
        self._meter.start_over()
        last, self._loaded, self._coming = self._loaded, self._coming, None
        self._announce(last)

    def _lose_gpu(self, error: RuntimeError) -> None:
        """Silence until the loader has brought what goes on without the GPU."""
        lost = self._loaded
        assert lost is not None
        log.exception("the GPU %s", gpu_trouble(error))
        self._switcher = self._loaded = self._coming = None
        self._overload.suspends()
        text = f"the GPU {gpu_trouble(error)} while '{lost.voice.info.name}' was playing: it goes on without the GPU; "
        self._send(
            EngineFault("EngineFailed", text + "close what else uses it, then restart rwc-daemon to use it again")
        )
        self._loader.lose_gpu(lost.voice.info.id)

    def _look(self) -> None:
        now = self._clock()
        if now >= self._next_look_s:
            elapsed_s = min(now - self._next_look_s + THRESHOLDS.look_s, 2 * THRESHOLDS.look_s)
            self._next_look_s = now + THRESHOLDS.look_s
            if self._coming is None:
                self._overload.look(elapsed_s, self._meter)

    def _check(self, stream: Stream) -> None:
        if stream.spoiled and not self._spoiled:
            name = self._loaded.voice.info.id if self._loaded else "this voice"
            self._send(
                EngineFault("BadModel", f"'{name}' gives broken numbers; silence is played: choose another voice")
            )
        self._spoiled = stream.spoiled

    # ---- signs of life ----

    def _send_heartbeat(self) -> None:
        now = time.monotonic()
        if now < self._next_heartbeat_s:
            return
        self._next_heartbeat_s = now + (WATCHED_HEARTBEAT_S if self._pitch_meter.on else HEARTBEAT_S)
        self._send(self._figures())

    def _figures(self) -> Heartbeat:
        return self._meter.heartbeat(*self._pitch_meter.pitches_hz(), self._overload.overloaded(self._meter))
