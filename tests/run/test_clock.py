"""Seconds of the devices' work, with a clock that is set by hand."""

import threading

import jax.numpy as jnp
import pytest

from jaxgan.run.clock import Clock, Rate


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


def test_a_rate_is_of_two_seconds_or_more():
    """Calls of 10 steps: one that a late thread took for longer, and the next for shorter, cancel out."""
    rate = Rate()
    rate.add(10, 9.0)  # compiled
    assert rate.of_line() == pytest.approx(10 / 9)  # there is no other
    rate.add(10, 0.3)
    assert rate.of_line() == pytest.approx(10 / 0.3)
    for seconds in (0.8, 0.1, 0.8, 0.1):  # each really .45
        rate.add(10, seconds)
        found = rate.of_line()
    assert found == pytest.approx(50 / 2.1)  # all since the compiled one: together 2.1 s
    rate.add(5, 7.0)  # another length is compiled
    for _ in range(3):
        rate.add(10, 1.0)
    assert rate.of_line() == pytest.approx(10)  # of this line alone, 3 s
    rate.add(10, 0.5)
    assert rate.of_line() == pytest.approx(30 / 2.5)  # and two calls before
