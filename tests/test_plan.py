import math

import pytest

from rwc_daemon.errors import Unsupported
from rwc_daemon.plan import Block, Latency, Plan


@pytest.mark.parametrize("rate", [44100, 48000, 88200, 96000, 192000])
@pytest.mark.parametrize("quantum", [32, 64, 128, 256, 441, 480, 512, 1024, 8192])
@pytest.mark.parametrize("wanted", [Block(5), Block(40, on_hop=True), Block(250, on_hop=True)])
def test_fit_is_on_its_grids(rate, quantum, wanted):
    plan = Plan.fit(rate, quantum, wanted)
    if wanted.on_hop:
        assert plan.block % plan.hop == 0
        assert plan.block_16k * rate == plan.block * 16000
        # either a whole number of quanta, or a quantum of slack for the saw
        assert plan.block % quantum == 0 or plan.slack >= 2 * quantum
    else:
        assert plan.block % quantum == 0
    assert plan.slack >= quantum
    assert plan.playout == plan.block + plan.slack


def test_a_live_block_is_whole_hops_and_whole_quanta_where_both_fit():
    plan = Plan.fit(48000, 128, Block(40, on_hop=True))
    assert plan.block == math.lcm(480, 128) == 1920
    assert plan.slack == 128


def test_slack_covers_what_was_asked_in_whole_quanta():
    assert Plan.fit(48000, 128, Block(5), slack_ms=3.0).slack == 256
    assert Plan.fit(48000, 1024, Block(5)).slack == 1024


@pytest.mark.parametrize("rate", [11025, 0, -48000, 4000, 500000])
def test_rates_without_a_hop_are_refused(rate):
    with pytest.raises(Unsupported, match="44100 or 48000"):
        Plan.fit(rate, 128, Block(5))


def test_latency_is_the_sum_of_its_parts():
    plan = Plan.fit(48000, 128, Block(5))
    latency = Latency.of(plan, delay=480, input_ms=1.0, output_ms=2.0)
    assert latency.total_ms == pytest.approx(1 + 256 / 48 + 10 + 128 / 48 + 2)
