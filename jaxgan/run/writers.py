"""Writers of a run: metrics.jsonl, TensorBoard events, sample grids, progress.

All files can be cut back to a step, so that a resumed run has the same files as one that was never stopped.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import logging
from PIL import Image
from tqdm import tqdm

from jaxgan.drawing.grids import save
from jaxgan.errors import UserError
from jaxgan.files import replace
from jaxgan.run import events


class Writers:
    """The writers of one workdir.

    Args:
      workdir: the folder, which exists.
      step: at which the run continues. Later lines and pictures are removed, later events by `cut_events`.

    Attributes:
      begins: whether no line has been written yet.
    """

    def __init__(self, workdir: Path, step: int):
        self._workdir = workdir
        self._lines = workdir / "metrics.jsonl"
        cut_lines(self._lines, step)
        self.begins = not last_step(workdir)
        _cut_samples(workdir / "samples", step)
        self._file = self._lines.open(
            "a", buffering=1, encoding="utf-8"
        )  # line by line, so that it can be followed and is complete after any end
        self._tensorboard = _TensorBoard(workdir, step)

    def cut_events(self) -> None:
        """Removes later TensorBoard events. To be called before writing; it imports TensorBoard."""
        self._tensorboard.cut()

    def scalars(self, step: int, values: dict[str, float], context: dict[str, Any]) -> None:
        """Writes a line of metrics.jsonl with `context`, and points of TensorBoard curves."""
        self._file.write(json.dumps({"step": step, **values, **context}) + "\n")
        self._tensorboard.write("scalars", step, values)

    def samples(self, step: int, picture: Image.Image, about: dict[str, Any] | None = None) -> None:
        """Writes `samples/step_00001000.png`, with metadata, and the same picture for TensorBoard."""
        path = self._workdir / "samples" / f"step_{step:08d}.png"
        run = self._workdir.absolute().name
        save(picture, path, {"Run": run, "Step": step, **(about or {})})
        self._tensorboard.write("image", step, "samples", picture)

    def hparams(self, values: dict[str, Any]) -> None:
        """Writes the run's hyperparameters for TensorBoard."""
        flat = {k: v if isinstance(v, int | float | bool) else str(v) for k, v in values.items()}
        self._tensorboard.write("hparams", flat)

    def flush(self) -> None:
        """Flushes everything to the operating system, before a checkpoint, which must not be ahead."""
        self._file.flush()
        self._tensorboard.write("flush")

    def close(self) -> None:
        """Flushes and closes."""
        self._file.close()
        self._tensorboard.write("close")


class _TensorBoard:
    """TensorBoard events. The file is opened at its first use: the imports take half a second."""

    def __init__(self, workdir: Path, step: int):
        self._workdir, self._step = workdir, step
        self._writer: events.EventWriter | None = None
        self._off = False

    def cut(self) -> None:
        """Removes events after the step, if there are any."""
        if events.has_events(self._workdir):
            self._guard(lambda: events.cut(self._workdir, self._step))

    def write(self, method: str, *args: Any) -> None:
        if self._writer or method not in ("flush", "close"):
            self._guard(lambda: getattr(self._opened(), method)(*args))

    def _opened(self) -> events.EventWriter:
        self._writer = self._writer or events.EventWriter(self._workdir)
        return self._writer

    def _guard(self, function: Callable[[], None]) -> None:
        """Calls the function; if TensorBoard is missing, warns once."""
        if self._off:
            return
        try:
            function()
        except ImportError as error:
            self._off = True
            logging.warning("TensorBoard events are off (%s); metrics.jsonl has all metrics", error)
        except Exception as error:
            self._off = True
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"could not write TensorBoard events in {self._workdir}: {reason}; the checkpoints are safe: "
                "make room and run the same command again"
            ) from error


def last_step(workdir: Path) -> int:
    """The step of the last complete line of metrics.jsonl; 0 if there is none."""
    path = workdir / "metrics.jsonl"
    return max((step for step, _ in _steps(path)), default=0) if path.exists() else 0


def _steps(path: Path) -> Iterator[tuple[int, str]]:
    """The complete lines, each with its step."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if line.endswith("\n"):
                yield int(json.loads(line)["step"]), line


def cut_lines(path: Path, step: int) -> None:
    """Keeps the complete lines up to `step`, and removes an incomplete last line of a killed run."""
    if not path.exists():
        return
    kept = [line for its_step, line in _steps(path) if its_step <= step]
    replace(path, "".join(kept))


def _cut_samples(folder: Path, step: int) -> None:
    for path in folder.glob("step_*.png"):
        number = path.stem.removeprefix("step_")
        if number.isdecimal() and int(number) > step:
            path.unlink()


def _shows_a_bar() -> bool:
    """Whether both streams are a terminal with columns; files get plain lines."""
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False


class Progress:
    """Progress with rate, time left and both losses: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, step: int, num_steps: int):
        self._num_steps, self._start = num_steps, (time.monotonic(), step)
        self._bar = tqdm(
            total=num_steps,
            initial=step,
            unit="step",
            disable=not _shows_a_bar(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}",
        )

    def update(self, step: int, metrics: dict[str, float], rate: float) -> None:
        """Shows a step; `rate` is in images a second."""
        now = time.monotonic()
        losses = f"D {metrics['discriminator_loss']:.3f}, G {metrics['generator_loss']:.3f}"
        if self._bar.disable:
            left = (self._num_steps - step) * (now - self._start[0]) / max(step - self._start[1], 1)
            times = f"{rate:.0f} images/s, {tqdm.format_interval(left)} left"
            print(f"step {step}/{self._num_steps}, {times}, loss {losses}", flush=True)
        else:
            self._bar.set_postfix_str(f"{rate:.0f} images/s, loss {losses}", refresh=False)
            self._bar.update(step - self._bar.n)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The time in this block does not count as training."""
        start = time.monotonic()
        yield
        then, step = self._start
        self._start = (then + time.monotonic() - start, step)

    def note(self, step: int, numbers: dict[str, float]) -> None:
        """Shows the numbers of an evaluation."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self._bar.write(f"step {step}: {text}")

    def close(self) -> None:
        """Ends the bar's line."""
        self._bar.close()
