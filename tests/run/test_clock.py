"""Seconds of device work, with a simulated clock."""

import threading

import jax.numpy as jnp
import pytest

from jaxgan.run.clock import Clock, Rate


class Results:
    """Results of a call that ends when `done` is set."""

    def __init__(self):
        self.done = threading.Event()

    def block_until_ready(self):
        self.done.wait(60)
        return self


def test_only_the_devices_work_counts():
    time = [10.0]
    clock, first, second = Clock(lambda: time[0]), Results(), Results()
    seconds = clock.watch(12.0, first)  # submitted at 12
    also = clock.watch(13.0, second)  # submitted at 13; starts when the first is done
    time[0] = 15.0
    first.done.set()
    assert seconds.result() == 3.0
    time[0] = 19.0
    second.done.set()
    assert also.result() == 4.0
    time[0] = 100.0  # meanwhile the host draws a picture
    assert clock.watch(90.0, jnp.zeros(3)).result() == 10.0
    clock.close()


def test_a_failure_of_the_devices_is_raised_by_the_result():
    class Broken:
        def block_until_ready(self):
            raise RuntimeError("out of memory")

    clock = Clock()
    with pytest.raises(RuntimeError, match="out of memory"):
        clock.watch(0.0, Broken()).result()
    clock.close()


def test_a_rate_is_measured_over_at_least_two_seconds():
    """Calls of 10 steps. Measurement errors of a late thread cancel out between consecutive calls."""
    rate = Rate()
    rate.add(10, 9.0)  # includes compilation
    assert rate.of_line() == pytest.approx(10 / 9)  # there is no other call
    rate.add(10, 0.3)
    assert rate.of_line() == pytest.approx(10 / 0.3)
    for seconds in (0.8, 0.1, 0.8, 0.1):  # in fact .45 each
        rate.add(10, seconds)
        found = rate.of_line()
    assert found == pytest.approx(50 / 2.1)  # all calls since the compilation: 2.1 s in total
    rate.add(5, 7.0)  # another length needs compilation
    for _ in range(3):
        rate.add(10, 1.0)
    assert rate.of_line() == pytest.approx(10)  # only the calls of this line: 3 s
    rate.add(10, 0.5)
    assert rate.of_line() == pytest.approx(30 / 2.5)  # and two earlier calls
