"""Watches over one stream: has it opened in an engine, hears it, opens it again when it ended.

What it is told when it is open is the owner's business (`on_up`); so is who is to blame (`on_death` gets a `Death`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rwc_daemon.control.engine_pool import EnginePool
from rwc_daemon.control.engine_process import MANY, QUICK_S, SLOW_S, WAITS_S, CountedRings, Death, EngineProcess
from rwc_daemon.messages import Message, StreamEnded

LATE_S = 3.0  # a check this late: this process stood still too, as in suspend, and the engine had no time either


class Supervisor:
    """One stream at a time. All methods belong to the event loop's thread."""

    def __init__(
        self,
        rings: CountedRings,
        pool: EnginePool,
        on_up: Callable[[], None],
        on_message: Callable[[Message], None],
        on_death: Callable[[Death], None],
    ) -> None:
        self.rings = rings
        self._pool = pool
        self._on_up, self._on_message, self._on_death = on_up, on_message, on_death
        self._engine: EngineProcess | None = None
        self._number = 0
        self._coming: asyncio.TimerHandle | None = None
        self._home: EngineProcess | None = None  # where it comes back
        self._opened_s = 0.0
        self._quick_ends = 0  # of the stream alone
        self.silent_s = 0.0
        self.converting = False
        self.up = False
        self.starts = 0

    @property
    def pid(self) -> int:
        """Of its engine; 0 while there is none."""
        return self._engine.pid if self._engine else 0

    @property
    def restarts(self) -> int:
        return max(0, self.starts - 1)

    @property
    def quick_deaths(self) -> int:
        """In a row."""
        return max(self._quick_ends, self._engine.quick_deaths if self._engine else 0)

    @property
    def given_up(self) -> bool:
        """It died too often; it is still tried, slowly."""
        return self.quick_deaths >= MANY

    @property
    def wanted(self) -> bool:
        return self._engine is not None or self._coming is not None

    def start(self) -> None:
        """Has the stream open from now on; harmless when it is so already."""
        if not self.wanted:
            self._enter(self._pool.place())

    async def stop(self) -> None:
        """No stream from now on; an engine that has no other ends."""
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        engine, self._home = self._leave() or self._home, None
        if engine is not None and not engine.streams:
            await engine.stop()

    def send(self, message: Message) -> None:
        """To the stream that is open; without one the message is dropped, `on_up` says everything again."""
        if self.up and self._engine is not None:
            self._engine.send(message, self._number)

    def check(self, elapsed_s: float, converting: bool) -> None:
        """Called once or twice in two seconds: ends a stream that hangs. `converting`: it has nothing to do but that.
        Raises what has ended the watch over its engine."""
        self.converting = converting
        self.silent_s = self.silent_s + elapsed_s if elapsed_s < LATE_S else 0.0
        if self._engine is not None:
            self._engine.look(self._number)

    def _enter(self, engine: EngineProcess) -> None:
        self._coming = None
        self._engine, self._number, self.silent_s = engine, self._pool.number(), 0.0
        engine.add(self._number, self)

    def _leave(self) -> EngineProcess | None:
        engine, self._engine, self.up = self._engine, None, False
        if engine is not None:
            engine.drop(self._number)
        return engine

    # ---- told by the engine ----

    def starting(self) -> None:
        self.starts += 1
        self.silent_s = 0.0
        self.rings.new_generation()  # what the one before still says is not heard any more

    def opened(self) -> None:
        self.up, self.silent_s, self._opened_s = True, 0.0, asyncio.get_running_loop().time()
        self._on_up()

    def heard(self, message: Message) -> None:
        self.silent_s = 0.0
        if isinstance(message, StreamEnded):
            self._ended(f"gave up this voice ({message.reason})")
        else:
            self._on_message(message)

    def died(self, death: Death) -> None:
        self.up = False
        self._on_death(death)

    def hung(self) -> None:
        self._leave()
        self._enter(self._pool.apart())
        self._on_death(Death("hung", own_fault=True, quick=self._is_quick()))

    def move_out(self) -> None:
        if self._engine is not None:  # its owner has not stopped it meanwhile
            self._leave()
            self._enter(self._pool.apart())

    def _ended(self, reason: str) -> None:
        """By itself, in an engine that goes on with others."""
        quick = self._is_quick()
        self._home = self._leave()
        self._quick_ends = self._quick_ends + 1 if quick else 0
        wait_s = SLOW_S if self.given_up else WAITS_S[min(self._quick_ends, len(WAITS_S) - 1)]
        self._coming = asyncio.get_running_loop().call_later(wait_s, self._come_back)
        self._on_death(Death(reason, own_fault=True, quick=quick))

    def _come_back(self) -> None:
        """Where it was, since the weights are there."""
        home, self._home = self._home, None
        self._enter(home if home is not None and home.wanted else self._pool.place())

    def _is_quick(self) -> bool:
        return asyncio.get_running_loop().time() - self._opened_s < QUICK_S
