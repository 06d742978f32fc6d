"""The shared rings: order, borders, generations, and two processes that hammer them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

from rwc_daemon.errors import EngineFailed
from rwc_daemon.link import _ring
from rwc_daemon.link.ring import SharedRings, StaleWriter, bucket_upper_ns, percentile_us

CAPACITY = 2**12
SAMPLES = 4_000_000


@pytest.fixture
def link():
    link = SharedRings.create(CAPACITY)
    yield link
    link.close()


def put(link: SharedRings, samples: np.ndarray) -> bool:
    """The callback's end of the microphone ring, without an audio server."""
    data = np.ascontiguousarray(samples, np.float32)
    floats = _ring.ffi.cast("float *", _ring.ffi.from_buffer(data))
    return bool(_ring.lib.rwc_mic_put(link._link, floats, data.size))


def count(start: int, n: int) -> np.ndarray:
    """Samples that tell their index; exact in float32."""
    return ((start + np.arange(n)) % 2**20).astype(np.float32)


def test_samples_come_out_as_they_went_in_across_the_border(link):
    link.join(link.new_generation())
    put(link, count(0, 3000))
    assert np.array_equal(link.read(3000), count(0, 3000))
    put(link, count(3000, 3000))
    assert link.available() == 3000
    assert np.array_equal(link.read(3000), count(3000, 3000))
    assert link.position() == 6000


def test_a_full_ring_takes_all_or_nothing(link):
    link.join(link.new_generation())
    assert put(link, count(0, CAPACITY - 10))
    assert not put(link, count(0, 11))
    assert put(link, count(CAPACITY - 10, 10))
    assert np.array_equal(link.read(CAPACITY), count(0, CAPACITY))


def test_without_an_engine_the_microphone_runs_on(link):
    for _ in range(5):
        assert put(link, count(0, 3000))
    link.join(link.new_generation())
    assert link.position() == 15000
    assert link.available() == 0


def test_voice_beyond_the_microphone_is_a_mistake(link):
    link.join(link.new_generation())
    put(link, count(0, 100))
    link.read(60)
    link.write(np.zeros(60))
    with pytest.raises(AssertionError):
        link.write(np.zeros(1))
    with pytest.raises(AssertionError):
        link.read(41)


def test_an_engine_that_was_replaced_is_refused(link):
    old = link.new_generation()
    link.join(old)
    put(link, count(0, 100))
    link.read(100)
    new = link.new_generation()
    for forbidden in (lambda: link.write(np.zeros(100)), lambda: link.skip(0), lambda: link.join(old)):
        with pytest.raises(StaleWriter):
            forbidden()
    link.join(new)
    assert link.position() == 100


def test_lag_counts_from_what_plays_next(link):
    link.set_playout(256, 64)
    link.join(link.new_generation())
    put(link, count(0, 256))
    assert link.lag() == 0
    put(link, count(256, 100))
    assert link.lag() == 100
    link.skip(356)
    assert link.lag() == 100 - 356
    assert link.counters().skipped_samples == 356


def test_waiting_ends_when_a_block_is_there_and_when_the_time_is_over(link):
    link.set_wake(480)
    link.join(link.new_generation())
    assert not link.wait(0.01)
    put(link, count(0, 480))
    assert link.wait(0.0)


def test_a_sleeping_engine_is_woken_once(link):
    link.set_wake(480)
    link.join(link.new_generation())
    woken: list[bool] = []
    sleeper = threading.Thread(target=lambda: woken.append(link.wait(30)))
    sleeper.start()
    wakes = 0
    while sleeper.is_alive():
        put(link, count(0, 48)) if link.available() < 480 else None
        if _ring.lib.rwc_wake_due(link._link):
            link.wake()
            wakes += 1
        time.sleep(0.0001)
    assert woken == [True]
    assert wakes <= 1


def test_what_is_no_number_is_silence(link):
    link.join(link.new_generation())
    put(link, np.zeros(4))
    link.read(4)
    link.write(np.array([0.5, np.nan, np.inf, -0.5], np.float32))
    voice = np.frombuffer(link._memory, np.float32)[-CAPACITY:][:4]
    assert voice.tolist() == [0.5, 0, 0, -0.5]


def test_attach_refuses_other_memory(tmp_path):
    memory_fd = os.memfd_create("other")
    os.ftruncate(memory_fd, 1 << 20)
    with pytest.raises(EngineFailed, match="restart"):
        SharedRings.attach(memory_fd, os.eventfd(0))


def test_percentiles_are_upper_borders():
    histogram = np.zeros(256, np.uint64)
    histogram[80], histogram[160] = 999, 1
    assert percentile_us(histogram, 0.5) == bucket_upper_ns(80) / 1000
    assert percentile_us(histogram, 1.0) == bucket_upper_ns(160) / 1000
    assert percentile_us(np.zeros(256, np.uint64), 0.5) == 0


def echo(memory_fd: int, wake_fd: int, generation: int, ready: object) -> None:
    link = SharedRings.attach(memory_fd, wake_fd)
    link.join(generation)
    ready.set()  # type: ignore[attr-defined]
    sizes = np.random.default_rng(1)
    done = 0
    while done < SAMPLES:
        link.wait(5)
        n = min(link.available(), int(sizes.integers(1, 2000)))
        link.write(link.read(n))
        done += n


def test_two_processes_lose_and_mix_up_nothing():
    link = SharedRings.create(CAPACITY)
    link.set_wake(64)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    engine = context.Process(target=echo, args=(link.memory_fd, link.wake_fd, link.new_generation(), ready))
    engine.start()
    assert ready.wait(30)
    voice = np.frombuffer(link._memory, np.float32)[-CAPACITY:]
    sizes = np.random.default_rng(2)
    sent = heard = 0
    while heard < SAMPLES:
        n = min(int(sizes.integers(1, 1500)), SAMPLES - sent, CAPACITY - (sent - heard))
        if n and put(link, count(sent, n)):
            sent += n
        if _ring.lib.rwc_wake_due(link._link):
            link.wake()
        ready_to = sent - max(0, link.lag())
        if ready_to > heard:
            at = np.arange(heard, ready_to) % CAPACITY
            assert np.array_equal(voice[at], count(heard, ready_to - heard))
            heard = ready_to
    engine.join(30)
    assert engine.exitcode == 0
    del voice
    link.close()
