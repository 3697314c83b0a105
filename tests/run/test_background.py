"""The thread that writes files during training."""

import threading
from concurrent.futures import CancelledError

import pytest

from jaxgan.run.background import Background


@pytest.fixture
def background():
    background = Background()
    yield background
    background.close()


def test_tasks_are_done_in_order_while_the_caller_continues(background):
    gate, done = threading.Event(), []
    background.do(gate.wait, 60)
    for number in range(10):
        background.do(done.append, number)
    assert done == []
    gate.set()
    background.wait()
    assert done == list(range(10))


def test_a_failure_is_raised_and_nothing_more_is_done(background):
    gate, done = threading.Event(), []

    def fail():
        gate.wait(60)
        raise OSError("no room")

    background.do(fail)
    background.do(done.append, 1)
    gate.set()
    with pytest.raises(OSError, match="no room"):
        background.wait()
    with pytest.raises(OSError, match="no room"):
        background.do(done.append, 2)
        background.wait()
    assert done == []


def test_a_failure_is_raised_at_the_next_task(background):
    future = background.do(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        future.result()
    with pytest.raises(ZeroDivisionError):
        background.do(print)


def test_the_number_of_waiting_tasks_is_bounded(background):
    gate, given = threading.Event(), []

    def give():
        for number in range(100):
            background.do(gate.wait, 60)
            given.append(number)

    giver = threading.Thread(target=give)
    giver.start()
    giver.join(timeout=0.5)
    assert giver.is_alive() and len(given) < 30  # it waits until the first task is done
    gate.set()
    giver.join()
    background.wait()
    assert len(given) == 100


def test_closing_at_once_cancels_tasks_that_have_not_started():
    background, began, gate, done = Background(), threading.Event(), threading.Event(), []
    background.do(lambda: (began.set(), gate.wait(60)))
    later = background.do(done.append, 1)
    began.wait(60)
    closing = threading.Thread(target=background.close, args=(True,))
    closing.start()
    with pytest.raises(CancelledError):
        later.result(timeout=60)
    gate.set()
    closing.join()
    assert done == []
