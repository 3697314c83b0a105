"""How a job ends."""

import subprocess
import sys
import time

from runs import ROOT, quick_environment

HELD = """
import threading, time
from jaxgan.errors import UserError
from jaxgan.run import console

def main():
    threading.Thread(target=time.sleep, args=(120,)).start()
    raise UserError("no room: make some")

console.run(main)
"""


def test_a_waiting_thread_does_not_delay_the_end_of_a_failed_job():
    """Orbax's threads wait for five minutes after a failed save."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HELD], env=quick_environment(), cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "error: no room: make some\n")
    assert time.monotonic() - begun < 100
