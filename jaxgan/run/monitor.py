"""What a run shows: progress, mean metrics, sample grids, warnings; and the check for NaN."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from clu import parameter_overview
from ml_collections import ConfigDict

from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.train_state import GanState
from jaxgan.config import fields
from jaxgan.config.essential import essential
from jaxgan.datasets import Dataset, title
from jaxgan.devices import processes
from jaxgan.drawing.grids import CLASS_COLUMNS, draw_samples
from jaxgan.errors import Diverged, UserError
from jaxgan.run.background import Background
from jaxgan.run.clock import Clock, Rate
from jaxgan.run.health import diagnose
from jaxgan.run.writers import Progress, Writers

_FIRST_DIAGNOSIS = 300  # steps: at first all fakes of any generator are alike


class _Nothing:
    """Replaces the writers in a process that writes nothing."""

    def cut_events(self) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Monitor:
    """Turns the metrics of calls into lines, curves and pictures.

    The results of a call are taken when it is dispatched, and read when the next call runs. A thread draws
    pictures and writes files, so the devices do not wait. Of several processes only the first writes and
    prints; all of them keep the window and check for NaN.

    Attributes:
      window: the metrics of each step since the last line, as JSON values. It is part of checkpoints, so that
        a resumed run writes means over the same steps.
    """

    def __init__(
        self, workdir: Path, config: ConfigDict, dataset: Dataset, gan: GAN, step: int, window: list
    ):
        self.window = window
        self._config, self._dataset, self._gan = config, dataset, gan
        self._workdir = workdir
        self._pending: tuple[int, dict, jax.Array | None, Future] | None = None
        self._clock, self._rate = Clock(), Rate()
        self._symptoms: dict[str, str] = {}
        self._background = Background()
        self._saving: Future | None = None
        self._writers = Writers(workdir, step) if processes.is_first() else _Nothing()
        self._progress = Progress(step, config.num_steps) if processes.is_first() else _Nothing()
        self._background.do(self._writers.cut_events)

    def introduce(self, state: GanState, streamed: bool) -> None:
        """Prints the data set, the devices and the parameters of both networks."""
        dataset, where = self._dataset, "read as it is needed" if streamed else "on the device"
        print(f"workdir: {self._workdir}")
        print(f"data: {len(dataset)} × {dataset.shape} of {dataset.name} ({dataset.origin}), {where}")
        print(_parts(dataset))
        num, kind = self._config.num_devices or len(jax.devices()), jax.devices()[0].device_kind
        print(f"devices: {num} × {kind}" + (f", {jax.process_count()} processes" * processes.connected()))
        for name in ("generator", "discriminator"):
            params = getattr(state, name).params
            print(f"{name}:\n{parameter_overview.get_parameter_overview(params, include_stats=False)}")
        print("compiling ...", flush=True)

    def take(
        self, step: int, metrics: dict[str, jax.Array], samples: jax.Array | None, begun: float = 0.0
    ) -> None:
        """Takes the results of the call that ends at `step`, finished or not.

        Args:
          step: steps done.
          metrics: of the call's steps, `[steps]` each, by name.
          samples: of the fixed inputs, if a picture is due.
          begun: when the call was dispatched, by `time.monotonic`.
        """
        seconds = self._clock.watch(begun, metrics)
        self.write()
        self._pending = (step, metrics, samples, seconds)

    def write(self) -> None:
        """Waits for the taken results, and queues their writing.

        Raises:
          Diverged: a metric is NaN or infinite.
          Exception: earlier writing has failed, for example UserError or OSError on a full disk.
        """
        if self._pending is None:
            return
        step, metrics, samples, seconds = self._pending
        self._pending = None
        names, values = zip(*jax.device_get(metrics).items(), strict=True)
        values = np.stack(values, axis=1)
        if not np.isfinite(values).all():
            i, j = np.argwhere(~np.isfinite(values))[0]
            first = step - len(values) + 1
            raise Diverged(
                f"training diverged at step {first + i}: {names[j]} is {values[i, j]}; what was saved before "
                "is kept. Try lower learning rates or another loss, in another --workdir"
            )
        self._rate.add(len(values), seconds.result())
        self.window += [dict(zip(names, row, strict=True)) for row in values.tolist()]
        if step % self._config.log_every == 0 or step == self._config.num_steps:
            self._write_line(step)
        if samples is not None:  # in the first process
            self._background.do(self._draw, step, samples)

    def _draw(self, step: int, samples: jax.Array) -> None:
        name = title(self._dataset.name, self._dataset.fallback_for)
        columns = CLASS_COLUMNS if self._gan.rows or self._gan.task else 0
        caption, mixture = f"{name}, step {step}", self._dataset.mixture
        picture = draw_samples(np.asarray(samples), caption, columns, mixture=mixture)
        weights = "ema" if self._config.ema_decay else "raw"
        self._writers.samples(step, picture, {"Data": name, "Weights": weights})

    def _write_line(self, step: int) -> None:
        rows = self.window
        if (
            step % self._config.log_every == 0
        ):  # an extra last line does not close the window, so that the run can be continued
            self.window = []
        if not processes.is_first():
            return
        metrics = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        rate = self._rate.of_line() * self._config.batch_size
        self._progress.update(step, metrics, rate)
        if self._writers.begins:  # its hyperparameters, once
            self._background.do(self._writers.hparams, fields.flatten(essential(self._config)))
            self._writers.begins = False
        context: dict[str, Any] = {"dataset": self._dataset.name, "images_per_second": round(rate, 1)}
        self._background.do(self._writers.scalars, step, metrics, context)
        symptoms = diagnose(metrics, classifies=self._gan.loss().threshold is not None)
        if step < _FIRST_DIAGNOSIS:
            return
        for name, sentence in symptoms.items():
            if name not in self._symptoms:
                logging.warning("step %d: %s", step, sentence)
        self._symptoms = symptoms

    def evaluate(self, step: int, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Computes the numbers of an evaluation, writes them as a line of their own, and returns them."""
        self.write()
        with self._progress.paused():
            self._background.wait()  # the computation may use all cores, and look for loaded libraries
            numbers = compute()
        self._progress.note(step, numbers)
        self._background.do(self._writers.scalars, step, numbers, {"dataset": self._dataset.name})
        return numbers

    def save(self, copy: Callable[[], Callable[[], None]]) -> None:
        """Queues the saving of a checkpoint after the writing of all taken results, so that it is not ahead.

        If several processes train, it waits, because they save together.

        Args:
          copy: copies the state, and returns a function that saves it.
        """
        self.write()
        if self._saving is not None:
            self._saving.result()  # only one copy waits at a time
        self._background.do(self._writers.flush)
        self._saving = self._background.do(copy())
        if processes.connected():
            self._background.wait()

    def flush(self) -> None:
        """Waits until all taken results are written, flushed and saved."""
        self.write()
        self._background.do(self._writers.flush)
        self._background.wait()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Waits for the writing (unless the run failed, of all taken results), and closes the files.

        A second Ctrl-C drops writing that has not begun.
        """
        self._progress.close()
        try:
            if kind is None:
                self.write()
                self._background.wait()
        except BaseException as late:
            kind = type(late)
            raise
        finally:
            self._clock.close()
            self._background.close(at_once=kind is KeyboardInterrupt)
            untold = (UserError, OSError) if kind else ()  # the error that is being raised is reported
            with contextlib.suppress(*untold):
                self._writers.close()


def _parts(dataset: Dataset) -> str:
    """The classes of a data set, and the number of examples held out from training."""
    names, num = dataset.class_names, 0 if dataset.labels is None else int(dataset.labels.max()) + 1
    if dataset.mixture is not None:
        classes = f"modes: {len(dataset.mixture.centres)}"
    elif num:
        shown = ", ".join(names[:10]) + ", ..." * (len(names) > 10)
        classes = f"classes: {max(num, len(names))}" + (f" ({shown})" if names else "")
    else:
        classes = "classes: none"
    whole = len(dataset) + dataset.held_out
    held_out = f"{dataset.held_out} of {whole}" if dataset.held_out else "none, the test set is apart"
    return f"{classes}; held out: {held_out}"
