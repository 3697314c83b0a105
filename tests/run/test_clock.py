"""Seconds of the devices' work, with a clock that is set by hand."""

import threading

import jax.numpy as jnp
import pytest

from jaxgan.run.clock import Clock


class Results:
    """Of a call that is done when it is told so."""

    def __init__(self):
        self.done = threading.Event()

    def block_until_ready(self):
        self.done.wait(60)
        return self


def test_only_the_devices_work_counts():
    time = [10.0]
    clock, first, second = Clock(lambda: time[0]), Results(), Results()
    seconds = clock.watch(12.0, first)  # given at 12
    also = clock.watch(13.0, second)  # given at 13, but begun when the first is done
    time[0] = 15.0
    first.done.set()
    assert seconds.result() == 3.0
    time[0] = 19.0
    second.done.set()
    assert also.result() == 4.0
    time[0] = 100.0  # the host draws a picture meanwhile
    assert clock.watch(90.0, jnp.zeros(3)).result() == 10.0
    clock.close()


def test_a_failure_of_the_devices_is_told_where_it_is_looked_at():
    class Broken:
        def block_until_ready(self):
            raise RuntimeError("out of memory")

    clock = Clock()
    with pytest.raises(RuntimeError, match="out of memory"):
        clock.watch(0.0, Broken()).result()
    clock.close()
