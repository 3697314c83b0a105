"""What a run writes while it trains: metrics.jsonl, TensorBoard events through clu, sample grids, progress.

All of it can be cut back to a step, so that a resumed run leaves the files of one that was never stopped.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from PIL import Image
from tqdm import tqdm

from jaxgan.drawing.grids import save
from jaxgan.errors import UserError
from jaxgan.files import replace
from jaxgan.tensorflow_import import import_tensorflow


class Writers:
    """The writers of one workdir.

    Args:
      workdir: where the files lie; it exists.
      step: the step from which the run goes on; what lies beyond it is cut off, of events by `cut_events`.

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
        )  # to be followed, and whole however the run ends
        self._tensorboard = _TensorBoard(workdir, step)

    def cut_events(self) -> None:
        """Cuts the TensorBoard events: before anything is written. Apart, as it needs TensorFlow."""
        self._tensorboard.cut()

    def scalars(self, step: int, values: dict[str, float], context: dict[str, Any]) -> None:
        """One line of metrics.jsonl, and a point of every TensorBoard curve. `context` is for the line."""
        self._file.write(json.dumps({"step": step, **values, **context}) + "\n")
        self._tensorboard.write("write_scalars", step, values)

    def samples(self, step: int, picture: Image.Image) -> None:
        """`samples/step_00001000.png` and the same picture in TensorBoard."""
        path = self._workdir / "samples" / f"step_{step:08d}.png"
        save(picture, path)
        self._tensorboard.write("write_images", step, {"samples": np.asarray(picture)[None]})

    def hparams(self, values: dict[str, Any]) -> None:
        """The run's hyper-parameters for TensorBoard."""
        flat = {k: v if isinstance(v, int | float | bool) else str(v) for k, v in values.items()}
        self._tensorboard.write("write_hparams", flat)

    def flush(self) -> None:
        """Hands everything to the operating system: called before a checkpoint, which must not be ahead."""
        self._file.flush()
        self._tensorboard.write("flush")

    def close(self) -> None:
        """Flushes and closes."""
        self._file.close()
        self._tensorboard.write("close")


class _TensorBoard:
    """clu's SummaryWriter, opened at its first use: it needs TensorFlow, whose import takes seconds."""

    def __init__(self, workdir: Path, step: int):
        self._workdir, self._step, self._writer, self._off = workdir, step, None, False

    def cut(self) -> None:
        """Where there are events, those beyond the step go."""
        if any(self._workdir.glob("events.out.tfevents.*")):
            self.write("flush", open_first=True)

    def write(self, method: str, *args: Any, open_first: bool = False) -> None:
        idle = self._writer is None and method in ("flush", "close") and not open_first
        if self._off or idle:
            return
        if self._writer is None:
            try:
                self._open()
            except ImportError as error:
                self._off = True
                logging.warning("TensorBoard events are off (%s); metrics.jsonl has all metrics", error)
                return
        try:
            getattr(self._writer, method)(*args)
        except Exception as error:
            self._off = True
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"could not write TensorBoard events in {self._workdir}: {reason}; the checkpoints are safe: "
                "make room and run the same command again"
            ) from error

    def _open(self):
        tf = import_tensorflow()
        from clu.metric_writers import SummaryWriter

        for path in sorted(self._workdir.glob("events.out.tfevents.*")):
            _cut_events(path, self._step, tf)
        self._writer = SummaryWriter(str(self._workdir))


def last_step(workdir: Path) -> int:
    """Of the last whole line of metrics.jsonl; 0 where there is none."""
    path = workdir / "metrics.jsonl"
    return max((step for step, _ in _steps(path)), default=0) if path.exists() else 0


def _steps(path: Path) -> Iterator[tuple[int, str]]:
    """The whole lines, each after its step."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if line.endswith("\n"):
                yield int(json.loads(line)["step"]), line


def cut_lines(path: Path, step: int) -> None:
    """Keeps the whole lines of up to `step`; a last line that a killed run left half-written goes too."""
    if not path.exists():
        return
    kept = [line for its_step, line in _steps(path) if its_step <= step]
    replace(path, "".join(kept))


def _cut_samples(folder: Path, step: int) -> None:
    for path in folder.glob("step_*.png"):
        number = path.stem.removeprefix("step_")
        if number.isdecimal() and int(number) > step:
            path.unlink()


def _cut_events(path: Path, step: int, tf) -> None:
    """Rewrites an event file without the events beyond `step` (and without a half-written last one)."""
    if not step:
        path.unlink()
        return
    kept, dropped = [], False
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            if tf.compat.v1.Event.FromString(record).step <= step:
                kept.append(record)
            else:
                dropped = True
    except tf.errors.DataLossError:
        dropped = True
    if dropped:
        temporary = path.with_name(f"cut.{path.name}")
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in kept:
                writer.write(record)
        os.replace(temporary, path)


def _shows_a_bar() -> bool:
    """Whether both streams are one's terminal, and it has columns: lines that go to a file stay lines."""
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return False


class Progress:
    """Steps, images a second, time left and both losses: a bar on a terminal, plain lines elsewhere."""

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
        """What happens within does not count as time of training."""
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
