"""Checkpoints of a run, written asynchronously by Orbax, with digests that are verified when restoring.

Orbax restores a file with a flipped byte without an error, so every checkpoint has a digest of every leaf.
"""

import contextlib
import functools
import hashlib
import json
import logging as standard_logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from flax import serialization
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxgan.devices import processes
from jaxgan.errors import Diverged, LostProcess, UserError
from jaxgan.run.plain_path import PlainPath, is_plain

# Orbax logs ordinary events as warnings; problems reach the user as exceptions.
logging.get_absl_logger().addFilter(lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname)
# If a damaged file makes several reads fail, Orbax awaits only one of them.
standard_logging.getLogger("asyncio").addFilter(
    lambda record: "never retrieved" not in record.getMessage() or "tensorstore" not in record.getMessage()
)


class Checkpoint(NamedTuple):
    """A restored checkpoint: the state as nested dicts of NumPy arrays, and the `extra` values."""

    step: int
    tree: dict[str, Any]
    extra: dict[str, Any]


class Checkpoints:
    """The checkpoints in one folder, by step.

    If several processes train a run, all of them call save and restore. Process 0 manages the folder and
    chooses the checkpoint to restore, which each process reads. A save is complete when all processes have
    taken part.

    Args:
      directory: made when the first checkpoint is saved.
      keep: how many of the newest to keep.
      read_only: nothing is cleaned up or moved; for reading a run that may still be training.
    """

    def __init__(self, directory: Path, keep: int = 1, read_only: bool = False):
        self.directory = Path(directory).absolute()
        self.read_only = read_only or not processes.is_first()
        self._keep, self._best = keep, None
        self._saver: ocp.CheckpointManager | None = None
        self._manager = None
        self._proven = False  # whether a checkpoint of this folder was read back
        self._first: int | None = None  # the step of the checkpoint to read back
        if processes.connected() and not is_plain(self.directory):
            raise UserError(
                f"{self.directory}: where several processes train a run, its path has none of * ? [ ] \\: "
                "choose another --workdir"
            )
        _silence_closed_loops()
        if not self.read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
        self._plain = PlainPath(self.directory)
        if self.directory.is_dir():
            self._manager = _look(self._open)

    def _open(self, among: set[int] | None = None) -> ocp.CheckpointManager:
        """Orbax's manager, for this process or for several."""
        read_only = self.read_only if among is None else False
        where = {}
        if processes.connected():
            me = jax.process_index()
            first, among = (me, {me}) if among is None else (0, among)
            where["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
                primary_host=first, active_processes=among
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=None if read_only else _Newest(self._keep, lambda: self._best),
            read_only=read_only,
            create=False,
            **where,
        )
        handlers = {
            "state": ocp.StandardCheckpointHandler(**where),
            "extra": ocp.JsonCheckpointHandler(**where),
        }
        return ocp.CheckpointManager(self._plain.path, options=options, item_handlers=handlers)

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, oldest first."""
        if self._saver is not None:
            return sorted(self._saver.all_steps())
        if self._manager is None:
            return []
        if self.read_only:
            _look(self._manager.reload)
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, extra: Mapping[str, Any], keep: int | None = None) -> None:
        """Starts saving the state; returns when it is copied to the host, so that it may be donated.

        If several processes train, all call this with the same arguments.

        Args:
          step: the number of steps done.
          state: a pytree of arrays.
          extra: JSON values to save with it.
          keep: the step of a checkpoint to keep in any case.

        Raises:
          Diverged: the state holds NaN or infinity; nothing is written.
          UserError: this save or the one before could not be written (a full disk).
        """
        self.copy(step, state, extra, keep)()

    def copy(
        self, step: int, state: Any, extra: Mapping[str, Any], keep: int | None = None
    ) -> Callable[[], None]:
        """The first half of `save`: copies the state, and returns a function for the second half."""
        # a copy, not a view, because the buffers are donated to the next call during writing
        tree = jax.tree.map(lambda leaf: np.array(leaf), serialization.to_state_dict(jax.device_get(state)))
        extra = json.loads(json.dumps(extra))  # also a copy, because the caller's lists grow during writing
        return functools.partial(self._save, step, tree, extra, keep)

    def _save(self, step, tree, extra, keep):
        self._best = keep
        for path, leaf in _leaves(tree):
            if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.isfinite(leaf).all():
                raise Diverged(f"the state is not finite at step {step} ({path}); no checkpoint was written")
        extra = {"extra": extra, "digests": {**_digests(tree), "extra": _json_digest(extra)}}
        try:
            args = ocp.args.Composite(state=ocp.args.StandardSave(tree), extra=ocp.args.JsonSave(extra))
            if self._saver is None:
                everyone = set(range(jax.process_count()))
                self._saver = self._open(everyone) if processes.connected() else self._manager
            if self._first is not None:  # all processes have begun to save it
                self.wait()
            self._saver.save(step, args=args)
        except UserError:
            raise
        except Exception as error:
            raise self._unwritable(error) from error
        if not self._proven:
            self._first = step
            if not processes.connected():
                self.wait()

    def _prove(self) -> None:
        """Reads back the first checkpoint, so that a run with unreadable files ends early."""
        step, self._first = self._first, None
        try:
            if processes.is_first():
                self._read(step)
        except Exception as error:  # Orbax and TensorStore raise many kinds of errors
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
            raise UserError(
                f"a checkpoint was saved in {self.directory}, but cannot be read back ({reason}): choose a "
                "--workdir of another name, or on another file system"
            ) from error
        self._proven = True

    def wait(self) -> None:
        """Blocks until the save is on disk; raises UserError if it could not be written."""
        try:
            if self._saver is not None:
                self._saver.wait_until_finished()
        except Exception as error:
            raise self._unwritable(error) from error
        if self._first is not None:
            self._prove()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Waits for a running save, and ends the manager's threads."""
        if kind is not None and processes.connected():
            return  # the save would wait for all processes, and they for the end of this one
        try:
            self.wait()
        except UserError:
            if kind is None:  # otherwise the error that is being raised is reported
                raise
        finally:
            with contextlib.suppress(Exception):  # the failure that `wait` has reported
                for manager in {self._manager, self._saver} - {None}:
                    manager.close()
            self._plain.close()

    def restore(self, step: int | None = None) -> Checkpoint | None:
        """The newest undamaged checkpoint, or that of `step`; None if there is no checkpoint.

        A damaged checkpoint is named in a warning and, unless read-only, moved to `<directory>-damaged`. Then
        the one before it is restored.

        Raises:
          UserError: `step` has no checkpoint, or every checkpoint is damaged.
        """
        if step is not None or not processes.connected():
            return self._restore(step)
        checkpoint = self._restore(None) if processes.is_first() else None
        step = processes.from_first(lambda: checkpoint and checkpoint.step)
        return checkpoint if processes.is_first() or step is None else self._restore(step)

    def _restore(self, step: int | None) -> Checkpoint | None:
        while True:
            steps = self.steps()
            if step is not None and step not in steps:
                raise UserError(f"no checkpoint of step {step} in {self.directory}; there are: {steps}")
            damaged = []
            for candidate in [step] if step is not None else reversed(steps):
                try:
                    checkpoint = self._read(candidate)
                except Exception as error:  # Orbax and TensorStore raise many kinds of errors
                    if self.read_only and self.steps() != steps:
                        break  # the run has continued and removed old checkpoints: look again
                    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
                    logging.warning("checkpoint %s is damaged: %s", self.directory / str(candidate), reason)
                    damaged.append(candidate)
                    continue
                self._move_away(damaged)
                self._proven = True
                return checkpoint
            else:
                break
        if damaged:
            raise UserError(
                f"every checkpoint in {self.directory} is damaged (steps {damaged}): restore the folder "
                "from a copy, or start again in another --workdir"
            )
        return None

    def _read(self, step: int) -> Checkpoint:
        args = ocp.args.Composite(state=ocp.args.StandardRestore(), extra=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=args)
        tree = jax.tree.map(np.asarray, restored["state"])
        extra = restored["extra"]["extra"]
        expected, found = restored["extra"]["digests"], {**_digests(tree), "extra": _json_digest(extra)}
        wrong = sorted(
            path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)
        )
        if wrong:
            raise ValueError(
                f"{len(wrong)} of {len(expected)} arrays differ from their digests, first {wrong[0]}"
            )
        return Checkpoint(step, tree, extra)

    def _move_away(self, steps: list[int]) -> None:
        if not steps or self.read_only:
            return
        self._manager.close()
        for step in steps:
            target = self.directory.with_name(f"{self.directory.name}-damaged") / str(step)
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            (self.directory / str(step)).rename(target)
        self._manager, self._saver = self._open(), None

    def _unwritable(self, error: Exception) -> UserError:
        if processes.is_loss(error):
            return LostProcess("another process of this run was lost while a checkpoint was being saved")
        steps, free = self.steps(), shutil.disk_usage(self.directory).free / 2**20
        kept = f"the checkpoint of step {steps[-1]} is safe" if steps else "there is no checkpoint yet"
        reason = " ".join(str(error).split())[:300]
        return UserError(
            f"could not save a checkpoint in {self.directory} ({free:.0f} MiB free): {reason}; {kept}: make "
            "room and run the same command again"
        )


class _Newest(preservation_policy.PreservationPolicy):
    """Keeps the newest n, and the best one."""

    def __init__(self, n: int, best: Callable[[], int | None]):
        self._n, self._best = n, best

    def should_preserve(self, checkpoints, *, context):
        first = len(checkpoints) - self._n
        return [i >= first or checkpoint.step == self._best() for i, checkpoint in enumerate(checkpoints)]


def _look(read: Callable[[], Any]) -> Any:
    """Calls `read()`, again if a checkpoint has disappeared: a run in training removes old ones."""
    for _ in range(20):
        with contextlib.suppress(FileNotFoundError):
            return read()
    return read()


def _silence_closed_loops() -> None:
    """Silences errors of tasks whose event loop Orbax closes when a file cannot be read or written.

    Each of them would print a traceback at any time, with nothing new after the first error.
    """
    before = sys.unraisablehook

    def hook(args):
        if "loop is closed" not in str(args.exc_value):
            before(args)

    if getattr(before, "__name__", "") != "hook":
        sys.unraisablehook = hook


def _leaves(tree) -> list[tuple[str, np.ndarray]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree.flatten_with_path(tree)[0]]


def _json_digest(extra: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(extra, sort_keys=True).encode(), digest_size=16).hexdigest()


def _digests(tree) -> dict[str, str]:
    """BLAKE2b hashes of every leaf's dtype, shape and bytes, by path."""
    digests = {}
    for path, leaf in _leaves(tree):
        digest = hashlib.blake2b(f"{leaf.dtype.str}{leaf.shape}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(leaf))
        digests[path] = digest.hexdigest()
    return digests
