"""What test_jack.py runs in a process of its own, because a process has one libjack for life."""

from __future__ import annotations

import json
import time

import numpy as np

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.graph import JackGraph
from rwc_daemon.audio.listeners import Listeners
from rwc_daemon.audio.microphone import Microphone
from rwc_daemon.audio.probe import Probe
from rwc_daemon.audio.routing import Router
from rwc_daemon.link.ring import SharedRings


def main() -> None:
    link = SharedRings.create()
    link.set_mode("bypass")
    client = AudioClient(link)
    watch = JackGraph(lambda: client.jack)
    router, listeners = Router(watch, client), Listeners(watch, ports_only=True)
    tier = Microphone(watch).ensure()
    client.open()
    client.set_latency(480)
    router.engaged = True
    until(router.reconcile, lambda: router.current == "system")
    inputs = [one.name for one in router.inputs()]
    before = listeners.look()
    with Probe() as probe:
        probe.record_from("rwc")
        during = listeners.look()
        router.choose("rwc-probe")
        until(router.reconcile, lambda: router.current == "rwc-probe")
        noise = np.random.default_rng(0).normal(0, 0.1, probe.rate).astype(np.float32)
        heard = probe.round_trip(noise, probe.rate)
    part = noise[20000:24096]
    delay = int(np.argmax(np.correlate(heard, part, "valid"))) - 20000
    until(router.reconcile, lambda: router.current == "system")
    answer = {
        "server": client.server,
        "tier": tier,
        "alive": client.alive(),
        "rate": client.rate,
        "quantum": client.quantum,
        "inputs": inputs,
        "listeners": [before, during, listeners.look()],
        "delay": delay,
        # a dummy server without realtime loses a cycle now and then
        "unity": bool(np.mean(np.abs(heard[20000 + delay : 24096 + delay] - part) < 1e-6) > 0.8),
    }
    client.close()
    print(json.dumps(answer))


def until(step, true) -> None:
    deadline = time.monotonic() + 5
    while not (step() and true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    main()
