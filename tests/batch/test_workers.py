"""Work over processes: order, failures, deaths, endings."""

from __future__ import annotations

import os
import signal
import time

import pytest

from rwc_daemon.batch import workers
from rwc_daemon.errors import BadAudio, EngineFailed, MissingAsset

pytestmark = pytest.mark.realtime


def squarer():
    return square


def square(job, progress):
    progress(0.5)
    if job == 13:
        raise BadAudio("unlucky")
    if job == 14:
        raise ZeroDivisionError("a bug")
    if job == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    return job * job, os.getpid()


def unready():
    raise MissingAsset("rwcctl assets fetch rmvpe")


def broken():
    raise KeyError("a bug")


def sleeper():
    return sleep


def sleep(job, progress):
    progress(0.0)
    time.sleep(600)


def outcomes(jobs, count, prepare=squarer):
    events = list(workers.run(jobs, prepare, count))
    return {event.job: event for event in events if not isinstance(event, workers.JobProgressed)}


def test_all_jobs_once_and_shared():
    found = outcomes(list(range(8)), 2)
    assert [found[n].result[0] for n in range(8)] == [n * n for n in range(8)]
    assert len({found[n].result[1] for n in range(8)}) <= 2


def test_bad_jobs_fail_alone():
    found = outcomes([1, 13, 14, 15, 2], 1)
    assert [type(found[n]) for n in range(5)] == [
        workers.JobDone,
        workers.JobFailed,
        workers.JobFailed,
        workers.JobFailed,
        workers.JobDone,
    ]
    assert isinstance(found[1].error, BadAudio)
    assert "ZeroDivisionError" in str(found[2].error)
    assert "SIGKILL" in str(found[3].error)
    assert found[4].result[0] == 4


def test_the_last_job_may_die_too():
    assert isinstance(outcomes([15], 3)[0], workers.JobFailed)


@pytest.mark.parametrize(("prepare", "kind"), [(unready, MissingAsset), (broken, EngineFailed)])
def test_what_cannot_begin_ends_the_run(prepare, kind):
    with pytest.raises(kind):
        list(workers.run([1, 2], prepare, 2))


def test_no_jobs_no_processes():
    assert list(workers.run([], squarer, 4)) == []


def test_closing_leaves_no_process():
    events = workers.run([1, 2], sleeper, 2)
    next(events)
    import multiprocessing

    children = multiprocessing.active_children()
    assert children
    events.close()
    assert not any(child.is_alive() for child in children)
