"""Thresholds of overload handling and of the playout delay: one table, used by the engine and by the daemon.

`load` is compute time / block duration. From 1 on, nothing late is ever caught up with. Slack is converted voice kept
ready against jitter. A level is one step of a voice's quality ladder; level 0 is what the user asked for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Every limit and time by which overload is seen and answered. Durations end in `_s` or `_ms`; shares are 0 … 1."""

    # ---- how load is measured (engine/load_meter.py) ----

    heartbeat_window_s: float = 1.0
    """The figures of one Heartbeat cover this time."""
    load_window_s: float = 2.0
    """`load` and `load_p75` cover this time: some 10 blocks of the longest kind."""
    load_percentile: float = 75.0
    """Of the blocks' loads: one block in four may be slower, because slack covers single slow blocks."""

    # ---- when the level goes down and up (engine/overload.py) ----

    look_s: float = 0.5
    """Time between two looks of the overload controller."""
    load_limit: float = 0.92
    """At this load the machine is overloaded: what is late stays late, and slack does not help."""
    severe_load: float = 1.3
    """At this load the user hears gaps already, so the level goes down sooner."""
    overload_s: float = 2.5
    """The level goes down after this much overload in a row; a shorter one is a hiccup."""
    severe_overload_s: float = 1.5
    """The same where voice is lost or load is severe."""
    step_down_load: float = 0.7
    """The expected load that a step down aims at where voice was lost: a level that just fits would lose more."""
    step_up_load: float = 0.85
    """The highest load that a step up may be expected to reach."""
    recovery_s: float = 10.0
    """A step up waits for this much time with room for it."""
    longest_recovery_s: float = 640.0
    """Each step up that had to be taken back doubles `recovery_s`, up to this: nothing flaps."""
    recovery_loss: float = 3.0
    """Seconds of recovery that one second without room undoes; one hiccup does not undo all of it."""
    failed_step_up_s: float = 60.0
    """A step up that lasted shorter than this was a mistake."""
    settle_s: float = 1.0
    """Figures of this time after a change are ignored, because the change itself costs time."""
    unknown_cost_ratio: float = 1.3
    """Assumed cost of a level / cost of the next cheaper one, where it was never measured."""
    highest_cost_ratio: float = 1.6
    """Highest believed value of that ratio: a level may have been warmed in a busy moment."""
    lost_share: float = 0.25
    """A voice without nets that lost this share of its input gets longer blocks whatever its load. Less is jitter:
    on two busy cores single blocks are late all the time, at a load of 0.1."""

    # ---- the level that a voice begins with (engine/loader.py) ----

    thread_gain: float = 0.5
    """Cores' worth of work that each further thread is expected to add."""
    far_too_slow: float = 1.5
    """Of a level whose cost is this many times too high, the next one is not worth trying."""

    # ---- how many threads nets run on (engine/thread_budget.py) ----

    single_thread_load: float = 0.8
    """Up to this load on one thread, a thread is given up as soon as other programs need its core."""
    spare_cores: float = 0.5
    """Cores that other programs may use without being in the way."""
    crowded_looks: int = 2
    """Looks in a row with too few free cores before a thread is given up; what is over by then does not go on."""
    threads_recovery_s: float = 5.0
    """A thread is taken back after its core was free for this time."""

    # ---- slack that a stream begins with (plan.py) ----

    slow_block_ms: float = 4.0
    """A voice whose blocks take less than this, and less than a cycle of the graph, begins with one cycle of slack."""
    slack_share: float = 1.1
    """Slack at the start / compute time of a typical warm block on one thread."""
    parallel_slack_share: float = 1.6
    """The same on more threads: two need three quarters of one's time, but where one has to wait, both do."""

    # ---- how slack grows and shrinks (control/slack.py) ----

    cold_s: float = 2.0
    """The first blocks of a stream are slow: single underruns of this time say nothing about later ones."""
    cold_underruns: int = 10
    """Underruns between two looks (1 s) that grow slack even in a cold stream: slow first blocks make fewer."""
    least_growth_ms: float = 5.0
    """Slack at most doubles at once, or grows by this: from 16 samples doubling alone would take six gaps."""
    least_step_ms: float = 2.5
    """Slack grows by at least this, about one cycle of the usual 128 samples; one of 16 samples is nothing."""
    useful_slack_ms: float = 100.0
    """More slack than this, and more than 1.5 blocks, does not help: computing takes longer than speaking."""
    longest_slack_ms: float = 500.0
    """The upper bound of slack in every case."""
    starved_slack_ms: float = 40.0
    """The upper bound of what is added because no voice comes at all."""
    slack_recovery_s: float = 30.0
    """Slack shrinks by a quarter of what is too much after this time without underruns: each change is a dip."""
    slack_memory: int = 6
    """What is too much is judged by the slowest blocks of this many `slack_recovery_s`. Bursts of a busy machine are
    more than 30 s apart, and every burst that had been forgotten was heard."""
    overload_nearby_s: float = 2.0
    """Slack that grew this close to an overload grew because of it. Underruns and load are counted over 1 s each, not
    in step, so either may be seen first."""
    overload_recovery_s: float = 12.0
    """What grew because of an overload is given back at once, this long after the overload and the last underrun."""
    pause_db: float = 3.0
    """Slack shrinks where the input is below the gate, or this close to the quietest second of the last minute: a room
    that is never below the gate has pauses, too."""
    pause_memory_s: int = 60
    """That minute."""

    # ---- when RWC Mic counts as silent for want of voice (control/starvation.py) ----

    glance_s: float = 0.2
    """Time between two looks at the callback's counters: five of them make a second in which to tell of silence."""
    silent_share: float = 0.95
    """From this share of silence on, no voice was heard between two looks."""
    heard_share: float = 0.5
    """Below this share of silence, voice was heard."""
    heard_s: float = 0.4
    """Voice for this time ends the fault: one block that happens to come in time is no cure."""
    silent_fault_s: float = 0.7
    """Silence of this length, beyond the voice's own latency, is a fault: the user is told within one second."""
    silent_growth_s: float = 0.4
    """Slack is added after this much silence, and again after as much: each addition is a gap by itself."""
    silent_start_s: float = 0.1
    """Silence that is allowed at the start of a stream."""
    short_quantum: int = 64
    """Below this many samples a cycle, the fault advises a longer quantum."""

    @property
    def below_limit(self) -> float:
        """A load just below `load_limit`."""
        return 0.99 * self.load_limit


THRESHOLDS = Thresholds()
