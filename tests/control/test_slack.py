"""How much converted voice is kept ready: growth, memory, overload."""

from __future__ import annotations

from itertools import pairwise

from rwc_daemon.control.slack import SlackControl
from rwc_daemon.thresholds import THRESHOLDS as LIMITS


def warm(slack: SlackControl) -> SlackControl:
    """Past its first two seconds."""
    assert not slack.look(LIMITS.cold_s, underruns=9, compute_max_ms=99.0, quiet=True)
    return slack


def test_slack_forgives_what_began_while_a_stream_was_cold() -> None:
    slack = SlackControl(48000, 256, start=256, least=0, most=48000)
    assert not slack.look(LIMITS.cold_s - 0.1, 1, 99.0, quiet=True)
    assert not slack.look(1.0, 1, 99.0, quiet=True)
    assert slack.look(1.0, 1, 99.0, quiet=True)


def test_slack_grows_with_gaps_and_shrinks_after_calm_at_quiet_moments() -> None:
    slack = warm(SlackControl(48000, 256, start=256, least=0, most=48000))
    seen = []
    for _ in range(4):
        slack.look(1, underruns=1, compute_max_ms=20.0, quiet=False)
        seen.append(slack.samples // 256)
    assert seen == [2, 4, 5, 6]  # 960 samples of computing are 4 quanta, and one beyond
    steps = [slack.samples]
    for _ in range(int((LIMITS.slack_memory + 6) * LIMITS.slack_recovery_s)):
        if slack.look(1, underruns=0, compute_max_ms=1.0, quiet=True):
            steps.append(slack.samples)
    assert all(before - after == 256 for before, after in pairwise(steps))
    assert steps[-1] == 2 * 256


def test_slack_remembers_bursts_that_are_further_apart_than_calm_is_long() -> None:
    slack = warm(SlackControl(48000, 128, start=4800, least=0, most=48000))
    for second in range(900):
        slack.look(1, 0, compute_max_ms=90.0 if second % 100 == 0 else 50.0, quiet=True)
        assert slack.samples >= 4320 + 128
    for _ in range(900):
        slack.look(1, 0, compute_max_ms=50.0, quiet=True)
    assert slack.samples <= 2400 + 2 * 128


def test_slack_does_not_shrink_while_somebody_speaks() -> None:
    slack = warm(SlackControl(48000, 256, start=2560, least=0, most=48000))
    assert not any(slack.look(1, 0, 0.0, quiet=False) for _ in range(400))
    assert slack.samples == 2560


def test_slack_is_bounded() -> None:
    slack = warm(SlackControl(48000, 1024, start=0, least=2000, most=9000))
    assert slack.samples == 2048
    for _ in range(50):
        slack.look(1, 1, 400.0, False)
    assert slack.samples == 8 * 1024


def looks(slack: SlackControl, seconds: int, underruns: int = 0, overloaded: bool = False, quiet: bool = True) -> int:
    """Samples after so many looks, one a second."""
    for _ in range(seconds):
        slack.look(1, underruns, 3.0, quiet, overloaded)
    return slack.samples


def test_many_underruns_grow_slack_though_the_stream_is_cold() -> None:
    """With 16 samples a cycle each block that is late by a third of a millisecond is an underrun."""
    slack = SlackControl(48000, 16, start=16, least=0, most=48000)
    assert slack.look(1.0, LIMITS.cold_underruns, 3.0, quiet=True)
    assert slack.samples >= 48 * LIMITS.least_growth_ms


def test_underruns_of_an_overload_do_not_grow_slack() -> None:
    slack = warm(SlackControl(48000, 128, start=256, least=0, most=48000))
    assert looks(slack, 20, underruns=3, overloaded=True) == 256
    assert looks(slack, int(LIMITS.overload_nearby_s) - 1, underruns=1) == 256, "still about the overload"
    assert looks(slack, 2, underruns=1) > 256, "jitter"


def test_what_grew_just_before_an_overload_was_seen_is_given_back_soon_after_it_at_a_quiet_moment() -> None:
    slack = warm(SlackControl(48000, 128, start=256, least=0, most=48000))
    grown = looks(slack, 2, underruns=2)
    assert looks(slack, 5, underruns=2, overloaded=True) == grown > slack.lasting == 256
    assert looks(slack, int(LIMITS.overload_recovery_s) - 1) == grown
    assert looks(slack, 10, quiet=False) == grown
    assert looks(slack, 1) == 256


def test_what_jitter_taught_outlasts_an_overload() -> None:
    slack = warm(SlackControl(48000, 128, start=256, least=0, most=48000))
    learned = looks(slack, 3, underruns=1)
    looks(slack, int(LIMITS.overload_nearby_s) + 1)
    looks(slack, 5, underruns=1, overloaded=True)
    assert looks(slack, 60) == learned
