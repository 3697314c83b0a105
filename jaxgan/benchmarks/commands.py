"""Times whole commands from outside, as a user waits for them."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from jaxgan.errors import UserError


def seconds_of(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Seconds that a command takes from its start to its end.

    Raises:
      UserError: it fails.
    """
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{shlex.join(command)} failed: {done.stderr.strip().splitlines()[-1:]}")
    return time.perf_counter() - begin


def with_empty_caches(folder: str) -> dict[str, str]:
    """This process's environment, but with jaxgan's caches in `folder`, and with Python's bytecode."""
    environment = {**os.environ, "JAXGAN_CACHE_DIR": str(Path(folder) / "cache")}
    for name in ("JAX_COMPILATION_CACHE_DIR", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    return environment


def seconds_to_first_step(folder: Path, name: str) -> float:
    """Runs the main job for a step, and returns when this step was done, from its progress lines."""
    command = [sys.executable, "launch.py", "--config=configs/dcgan_digits.py", f"--workdir={folder / name}"]
    command += ["--config.num_steps=1", "--config.log_every=1"]
    environment = with_empty_caches(str(folder))
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines, took = [], None
    with process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("step ") and took is None:
                took = time.perf_counter() - begin
    if took is None or process.returncode:
        raise UserError(f"{shlex.join(command)} failed: {lines[-1].strip() if lines else 'it says nothing'}")
    return took
