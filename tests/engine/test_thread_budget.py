"""How many threads the nets run on, with other programs of known appetite."""

import os
import subprocess
import sys
import time

import pytest

from rwc_daemon.engine.thread_budget import OtherLoad, ThreadBudget
from rwc_daemon.thresholds import THRESHOLDS as LIMITS


class Programs:
    def __init__(self, cores):
        self.cores = cores

    def __call__(self):
        return self.cores


def test_all_cores_while_nobody_else_wants_them():
    thread_budget = ThreadBudget(2, 2, Programs(0.3))
    assert not any(thread_budget.update(1.0, overloaded=True, single_thread_load=2.0) for _ in range(60))
    assert thread_budget.threads == 2


@pytest.mark.parametrize(
    ("cores", "busy", "threads"), [(2, 1.0, 1), (2, 1.9, 1), (4, 1.0, 3), (4, 2.2, 2), (1, 0.0, 1)]
)
def test_one_thread_for_each_core_that_is_free(cores, busy, threads):
    thread_budget = ThreadBudget(cores, cores, Programs(busy))
    changed = [thread_budget.update(1.0, overloaded=True, single_thread_load=2.0) for _ in range(10)]
    assert thread_budget.threads == threads
    assert sum(changed) == (threads < cores)


def test_what_is_over_at_once_takes_no_thread():
    others = Programs(1.5)
    thread_budget = ThreadBudget(2, 2, others)
    for _ in range(20):
        others.cores = 1.5
        assert not any(
            thread_budget.update(1.0, overloaded=True, single_thread_load=2.0) for _ in range(LIMITS.crowded_looks - 1)
        )
        others.cores = 0.2
        assert not thread_budget.update(1.0, overloaded=True, single_thread_load=2.0)
    assert thread_budget.threads == 2


def test_a_busy_machine_that_is_in_time_is_left_alone_unless_one_thread_is_enough():
    thread_budget = ThreadBudget(2, 2, Programs(1.0))
    assert not any(thread_budget.update(1.0, overloaded=False, single_thread_load=1.1) for _ in range(10))
    assert thread_budget.update(1.0, overloaded=False, single_thread_load=0.6)
    assert thread_budget.threads == 1


def test_it_goes_back_up_once_the_others_were_quiet_for_a_while():
    others = Programs(1.5)
    thread_budget = ThreadBudget(2, 2, others)
    for _ in range(LIMITS.crowded_looks):
        thread_budget.update(1.0, overloaded=True, single_thread_load=1.0)
    others.cores = 0.2
    quiet = [
        thread_budget.update(1.0, overloaded=False, single_thread_load=0.6)
        for _ in range(int(LIMITS.threads_recovery_s))
    ]
    assert quiet.index(True) == LIMITS.threads_recovery_s - 1
    assert thread_budget.threads == 2


def test_the_kernel_tells_what_others_use_and_our_own_work_does_not_count():
    others = OtherLoad()
    end = time.process_time() + 0.4
    while time.process_time() < end:
        pass
    alone = others()
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        others()
        time.sleep(1.5)
        beside = others()
    finally:
        spinning.kill()
        spinning.wait()
    cores = len(os.sched_getaffinity(0))
    assert 0 <= alone <= cores
    assert 0.1 < beside <= cores + 0.1


def test_without_the_kernels_figures_nobody_else_is_there(tmp_path):
    assert OtherLoad(stat=tmp_path / "nothing")() == 0.0
