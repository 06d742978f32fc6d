"""Operations of torch handed to a thread that has other things to do."""

import threading
import time

import pytest
import torch

from rwc_daemon.engine.op_queue import OpQueue


class Servant:
    """A thread that serves while `idle`, as the inference thread does between two blocks."""

    def __init__(self):
        self.idle, self.over = True, False
        self.served = []
        self.woken = threading.Event()
        self.op_queue = OpQueue(self.woken.set, lambda: True)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over:
            self.woken.wait(0.05)
            self.woken.clear()
            self.served.append(self.op_queue.run_pending(lambda: self.idle))

    def end(self):
        self.over = True
        self.thread.join(10)


@pytest.fixture
def servant():
    servant = Servant()
    yield servant
    servant.end()


class Witness(torch.nn.Module):
    """Adds one, and remembers which thread did."""

    def __init__(self):
        super().__init__()
        self.threads = []
        self.bias = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        y = torch.nn.functional.conv1d(x, torch.ones(1, 1, 3), padding=1) + self.bias
        y.apply_(lambda value: self.threads.append(threading.get_ident()) or value)
        return y


def test_operations_run_on_the_other_thread_and_give_what_they_give(servant):
    net = Witness()
    x = torch.arange(6.0).view(1, 1, 6)
    with torch.inference_mode():
        here = net(x)
        with servant.op_queue.offload():
            there = net(x)
        assert servant.op_queue.open
    assert torch.equal(here, there)
    assert there.is_inference()
    assert set(net.threads[:6]) == {threading.get_ident()}
    assert set(net.threads[6:]) == {servant.thread.ident}


def test_they_run_on_as_many_threads_as_who_sends_them_has(servant):
    torch.set_num_threads(1)
    with servant.op_queue.offload():
        torch.ones(4).add(1)
    end = time.monotonic() + 5
    while not any(servant.served) and time.monotonic() < end:
        time.sleep(0.01)
    assert {count for count in servant.served if count} == {1}


def test_what_goes_wrong_there_is_raised_here(servant):
    with servant.op_queue.offload(), pytest.raises(RuntimeError, match="size"):
        torch.ones(3).add(torch.ones(4))
    with servant.op_queue.offload():
        assert torch.ones(3).add(1).sum() == 6


def test_without_time_for_them_they_are_done_here_until_there_is_again(servant):
    servant.idle = False
    begin = time.monotonic()
    for _ in range(3):
        with servant.op_queue.offload():
            assert torch.ones(3).add(1).sum() == 6
            assert not servant.op_queue.open
    assert 0.4 < time.monotonic() - begin < 1.4  # asked once, not for each operation, nor each time again
    assert not any(servant.served)
    servant.idle = True
    end = time.monotonic() + 5
    while not servant.op_queue.open and time.monotonic() < end:
        time.sleep(0.01)
    with servant.op_queue.offload():
        assert torch.ones(3).mul(2).sum() == 6
    assert servant.op_queue.open


def test_the_time_they_took_is_known(servant):
    x = torch.randn(600, 600)
    begin = time.thread_time()
    for _ in range(20):
        x @ x
    alone_s = time.thread_time() - begin
    with servant.op_queue.offload():
        for _ in range(20):
            x @ x
    assert 0.2 * alone_s < servant.op_queue.spent_s < 5 * alone_s + 0.05
