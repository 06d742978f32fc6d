"""Whose block is rendered next."""

import threading
import time

from rwc_daemon.engine.turns import Turns

FAR_S = 1000.0


class Renderer:
    """A thread that takes one turn and holds it until it is told to end."""

    def __init__(self, turns, order, name, deadline_s, latest_s=FAR_S):
        self.began, self.end = threading.Event(), threading.Event()

        def run():
            with turns.turn(time.monotonic() + deadline_s, time.monotonic() + latest_s):
                order.append(name)
                self.began.set()
                self.end.wait(10)

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def finish(self):
        self.end.set()
        self.thread.join(10)


def waiting(turns, count):
    end = time.monotonic() + 10
    while len(turns._waiting) < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_nearest_deadline_comes_first():
    turns, order = Turns(1), []
    first = Renderer(turns, order, "first", FAR_S)
    assert first.began.wait(10)
    others = []
    for deadline_s in (300.0, 100.0, 200.0):
        others.append(Renderer(turns, order, deadline_s, deadline_s))
        waiting(turns, len(others))
    for other in others:
        other.end.set()
    first.finish()
    for other in others:
        other.finish()
    assert order == ["first", 100.0, 200.0, 300.0]


def test_so_many_at_once_as_there_are_turns():
    turns, order = Turns(2), []
    held = [Renderer(turns, order, n, FAR_S) for n in range(2)]
    assert all(renderer.began.wait(10) for renderer in held)
    third = Renderer(turns, order, 2, FAR_S)
    waiting(turns, 1)
    assert not third.began.is_set()
    held[0].finish()
    assert third.began.wait(10)
    for renderer in (held[1], third):
        renderer.finish()


def test_nobody_waits_beyond_its_last_moment():
    turns, order = Turns(1), []
    hangs = Renderer(turns, order, "hangs", FAR_S)
    assert hangs.began.wait(10)
    other = Renderer(turns, order, "other", FAR_S, latest_s=0.05)
    assert other.began.wait(10)
    other.finish()
    hangs.finish()


def test_who_is_late_has_lost_its_turn():
    turns, order = Turns(1), []
    hangs = Renderer(turns, order, "hangs", deadline_s=0.0)
    assert hangs.began.wait(10)
    other = Renderer(turns, order, "other", FAR_S)
    assert other.began.wait(10)
    other.finish()
    hangs.finish()


def test_a_turn_comes_back_after_an_error():
    turns = Turns(1)
    for _ in range(2):
        try:
            with turns.turn(time.monotonic() + FAR_S, time.monotonic() + FAR_S):
                raise ValueError
        except ValueError:
            continue
    assert not turns._held
