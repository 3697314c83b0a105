"""Training: build the data and the GAN, make or restore the state, compile, loop."""

import contextlib
import functools
import os
import shlex
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from flax import serialization
from ml_collections import ConfigDict

from jaxgan import datasets, sampler
from jaxgan.algorithm.gan import GAN, data_key, init_extras, init_state, partner_key
from jaxgan.algorithm.train_state import GanState
from jaxgan.compilation import ONCE, float32
from jaxgan.config import checks, experiment, fields, known
from jaxgan.config.condition_checks import require_parts
from jaxgan.config.conditions import classes_of, wants_labels
from jaxgan.config.essential import essential
from jaxgan.datasets import Dataset, order, stream
from jaxgan.devices import parallel, processes
from jaxgan.devices.flops import steps_of_a_call
from jaxgan.errors import UserError
from jaxgan.evaluation.evaluator import Best, find_best, make_evaluator
from jaxgan.jobs import pictures
from jaxgan.jobs.start_from import fill, merge
from jaxgan.run import record
from jaxgan.run.budget import Budget
from jaxgan.run.checkpoint import Checkpoint, Checkpoints
from jaxgan.run.monitor import Monitor
from jaxgan.run.workdir import Stop, claim
from jaxgan.run.writers import last_step

_OUT_OF_TIME = 1  # a reason to stop; signals have larger numbers


@float32
def train(config: ConfigDict, workdir: Path) -> int:
    """Trains the run in `workdir`, or continues it; returns the exit status (128 + signal if stopped).

    If several processes train it (see `processes`), all of them call this.

    Raises:
      UserError: the input is wrong, in one line with the remedy.
      Diverged: a metric or the state became NaN or infinite.
    """
    known.require_config(config)
    require_determinism(config.deterministic)
    fields.import_modules(config)
    known.require_known(config)
    checks.check(config)
    for caution in checks.cautions(config) if processes.is_first() else ():
        logging.warning(caution)
    processes.require_same("the config", [str(workdir.absolute()), essential(config)])
    with claim(workdir) if processes.is_first() else contextlib.nullcontext():
        return _train(config, workdir)


def _train(config: ConfigDict, workdir: Path) -> int:
    before = _newest(workdir) if processes.from_first(lambda: bool(record.read_record(workdir))) else None
    if before:  # a run without a checkpoint starts again
        before.tree.clear()  # only `_start` needs it, and reads it again
        recorded = record.read_record(workdir)
        config = record.agree(config, recorded, workdir)
        if before.step >= config.num_steps:
            print(f"this run is finished ({before.step} steps): {workdir}")
            print(f"to make it longer: python launch.py --workdir={_quoted(workdir)} --config.num_steps=N")
            return 0
    else:
        if processes.is_first():
            _require_nothing_to_lose(workdir, config)
        config = fields.fix_schedule(config)

    dataset = processes.first_then_others(lambda: experiment.load_dataset(config))
    processes.require_same("the data set", dataset.fingerprint)
    if before:
        record.require_same_dataset(dataset, recorded, workdir)
    axis_name = parallel.AXIS if config.parallel == "pmap" else None  # jit sees the whole batch anyway
    require_parts(config, dataset)
    gan = experiment.make_gan(config, dataset.shape, axis_name, classes_of(dataset), with_features=True)
    if before:
        record.require_same_features(gan, recorded, workdir)
    if config.evaluation.get("standing_statistics", 0):
        sampler.require_batch_norm(gan)  # samples use them, also where nothing is evaluated
    nbytes = dataset.nbytes + (dataset.partner.nbytes if dataset.partner is not None else 0)
    streamed = nbytes > config.dataset.max_device_bytes
    program = parallel.make_program(
        gan, config.parallel, config.batch_size, streamed=streamed, num_devices=config.num_devices
    )
    if not before and processes.is_first() and (caution := checks.caution_about_gamma(config, dataset.shape)):
        logging.warning(caution)
    hyper = experiment.make_hyper(config, dataset.labels)
    fresh = _make_fresh_state(gan, config, hyper, ignore_weights=before is not None)
    evaluator = make_evaluator(config, gan, dataset) if config.eval_every and processes.is_first() else None
    best = Best(*processes.from_first(lambda: find_best(config, evaluator, before.extra if before else {})))

    with Stop() as stop:
        if processes.is_first():
            record.write_record(workdir, config, dataset, gan)
        with Checkpoints(workdir / "checkpoints", config.checkpoints_kept) as saved:
            state, step, window, spent = _start(fresh, saved)
            budget = Budget(config.get("max_minutes", 0.0), spent)
            with (
                Monitor(workdir, config, dataset, gan, step, window) as monitor,
                contextlib.ExitStack() as stack,
            ):
                monitor.introduce(state, streamed)
                state = program.place_state(state)
                next_data = _feed(program, gan, config, dataset, state, step, streamed, stack)
                load = functools.partial(experiment.load_dataset, config)
                kept = sampler.keep(workdir, gan, load) if processes.is_first() else None
                periods = [config.steps_per_call, *_periods(config)]
                cores = processes.from_first(parallel.num_cores)
                first = _end_of_call(step, config.steps_per_call, config) - step
                trace = None if streamed else lambda: (program.trace(state, next_data(first), first), first)
                most = steps_of_a_call(
                    gan, state, config.batch_size, cores, periods[0], periods, axis_name, trace
                )
                agree = processes.Agreement()
                stopping, shown = agree(_reason(stop, budget)), None
                while step < config.num_steps and not stopping:
                    end = _end_of_call(step, most, config)
                    data = next_data(end - step)
                    traced = processes.is_first() and step < config.profile_at <= end
                    if traced:  # only this call, until its end
                        monitor.flush()
                        jax.block_until_ready(state)
                    with _traced(workdir, traced):
                        begun = time.monotonic()
                        state, metrics = program.train_steps(state, data, end - step)
                        budget.begin()  # once the first call is compiled
                        monitor.write()  # of the previous call, while the devices compute this one
                        if traced:
                            jax.block_until_ready(metrics)
                    step, samples, ema = end, None, parallel.local(state.ema)
                    if processes.is_first() and _wants_samples(step, config):
                        shown = shown or sampler.fixed_inputs(gan, kept=kept)
                        samples = sampler.show(gan, ema, shown, kept)
                    monitor.take(step, metrics, samples, begun)
                    if config.eval_every and _due(config.eval_every, step, config):
                        measure = lambda: monitor.evaluate(step, lambda: evaluator(ema))  # noqa: B023, E731
                        best = best.updated(step, processes.from_first(measure))
                    stopping = agree(_reason(stop, budget))
                    if _due(config.checkpoint_every, step, config) or stopping or best.step == step:
                        _save(saved, step, state, monitor, best, budget)
                monitor.flush()
                if step not in saved.steps():  # the signal came before the first step
                    _save(saved, step, state, monitor, best, budget)
                if step == config.num_steps and processes.is_first():
                    pictures.draw_run(workdir, _sampler(gan, state, step, dataset, kept), dataset)
    if stopping and step < config.num_steps:
        if stopping == _OUT_OF_TIME:
            print(
                f"max_minutes={config.max_minutes:g} have passed at step {step} of {config.num_steps}; to go "
                f"on, raise it: python launch.py --workdir={_quoted(workdir)} --config.max_minutes=M"
            )
            return 0
        print(
            f"stopped at step {step} of {config.num_steps}; the same command goes on, or "
            f"python launch.py --workdir={_quoted(workdir)}"
        )
        return 128 + stopping // 2
    print(
        f"done: {step} steps. {workdir} holds samples/, plots/, metrics.jsonl, TensorBoard events and "
        f"checkpoints/; draw from the generator with jaxgan.load({str(workdir)!r}) or --mode=sample "
        f"--workdir={_quoted(workdir)}, measure it with --mode=evaluate --workdir={_quoted(workdir)}"
    )
    return 0


def _reason(stop: Stop, budget: Budget) -> int:
    """Why to stop: 0: do not; 1: time is up; twice a signal. Several processes take the largest."""
    return 2 * stop.signal or _OUT_OF_TIME * budget.is_spent()


def _require_nothing_to_lose(workdir: Path, config: ConfigDict) -> None:
    """Starts a run without a checkpoint again. Refuses if it had one: its files would be overwritten."""
    step = last_step(workdir)
    removed = step and not (workdir / "checkpoints").is_dir()  # before the first line
    if removed or step > 2 * config.checkpoint_every > 0:  # one checkpoint may be lost while it is saved
        raise UserError(
            f"{workdir} holds a run of {step} steps, but no whole checkpoint to go on from: choose another "
            "--workdir, or remove this one"
        )
    if step:
        print(f"no checkpoint yet at step {step}: beginning anew")


def _sampler(gan: GAN, state: GanState, step: int, dataset: Dataset, kept) -> sampler.Sampler:
    weights, about = parallel.local(_weights(state)), record.describe_dataset(dataset)
    numbers = parallel.local(state.hyper["loss"])
    return sampler.Sampler(gan, weights["ema"], step, about, weights["discriminator"], numbers, kept)


def _make_fresh_state(gan: GAN, config: ConfigDict, hyper: dict, ignore_weights: bool):
    """`() -> GanState`, to be jitted: a fresh state, with the weights of `init_from` if it is set."""
    # the words of jax.random.key(seed), whatever the default generator is
    key = np.array([0, config.seed], np.uint32)
    fresh = functools.partial(init_state, gan, key, hyper)
    if not config.init_from or ignore_weights:
        return fresh
    checkpoint = _newest(Path(config.init_from).expanduser())
    if checkpoint is None:
        raise UserError(
            f"init_from={config.init_from} has no checkpoint: give the workdir of a run that has one"
        )
    theirs, left, new = merge(_weights(jax.eval_shape(fresh)), checkpoint.tree, config.init_from)
    if (left or new) and processes.is_first():
        print(f"init_from={config.init_from}: left there {_some(left)}; new here {_some(new)}", flush=True)

    def with_weights():
        state = fresh()
        networks = fill(_weights(state), theirs)
        params = {name: networks[name]["params"] for name in ("generator", "discriminator")}
        return state.replace(
            generator=state.generator.replace(**networks["generator"]),
            discriminator=state.discriminator.replace(**networks["discriminator"]),
            ema=networks["ema"],
            extras=init_extras(gan, state.hyper, params),
        )

    return with_weights


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + f", ... ({len(names)} in all)" * (len(names) > 4) or "nothing"


def _weights(state: GanState) -> dict:
    networks = {"generator": state.generator, "discriminator": state.discriminator}
    parts = {name: {"params": n.params, "model_state": n.model_state} for name, n in networks.items()}
    return {**parts, "ema": state.ema}


def _quoted(workdir: Path) -> str:
    """Quoted for a shell."""
    return shlex.quote(str(workdir))


def _start(fresh, checkpoints: Checkpoints) -> tuple[GanState, int, list, float]:
    """The state to start from, restored or fresh; its step, metrics since the last line, and seconds."""
    checkpoint = checkpoints.restore()
    if checkpoint is None:
        return jax.jit(fresh, compiler_options=ONCE)(), 0, [], 0.0
    print(f"going on from step {checkpoint.step}")
    state = serialization.from_state_dict(jax.eval_shape(fresh), checkpoint.tree)
    return state, checkpoint.step, checkpoint.extra["window"], checkpoint.extra.get("seconds", 0.0)


def _feed(program, gan: GAN, config, dataset: Dataset, state: GanState, step: int, streamed: bool, stack):
    """`num -> data` of the next call: the whole set on the devices, or `num` steps streamed from disk."""
    if not streamed:
        data = program.place_data(resident_data(config, dataset))
        return lambda num: data
    with_labels = wants_labels(config)
    groups = order.group_by_class(dataset.labels) if config.class_balance == "resample" else None
    key = np.asarray(data_key(parallel.local(state.key)))
    shape, share = (gan.batches, program.count), {"first": program.first, "count": program.count}
    batches = stream.Stream(dataset, key, config.batch_size, groups=groups, **share)
    batches = batches.steps(step * gan.batches)
    stack.callback(batches.close)
    partners = None
    if gan.reads_partners:
        key = np.asarray(partner_key(parallel.local(state.key)))
        partners = stream.Stream(dataset.partner or dataset, key, config.batch_size, **share)
        partners = partners.steps(step * gan.batches)
        stack.callback(partners.close)

    def next_block(num):
        examples, labels = zip(*(next(batches) for _ in range(num * shape[0])), strict=True)
        block = {"examples": np.stack(examples).reshape(num, *shape, *gan.data_shape)}
        block |= {"labels": np.stack(labels).reshape(num, *shape)} if with_labels else {}
        if partners is not None:
            others = [next(partners)[0] for _ in range(num * shape[0])]
            block["partner"] = np.stack(others).reshape(num, *shape, *gan.data_shape)
        return program.place_data(block)

    return next_block


def resident_data(config: ConfigDict, dataset: Dataset) -> dict[str, Any]:
    """The inputs of a program from a data set that stays on the devices (see `parallel.Program`)."""

    def flat(examples):  # accelerators pad the last axes: a TPU would pad MNIST to 150 times its size
        if not isinstance(examples, np.ndarray):  # encoded on disk, but small enough once decoded
            examples = datasets.take(examples, np.arange(len(examples)))
        return examples.reshape(len(examples), -1)

    data: dict[str, Any] = {"examples": flat(dataset.examples)}
    if dataset.partner is not None:
        data["partner"] = flat(dataset.partner.examples)
    if wants_labels(config):
        data["labels"] = dataset.labels
    if config.class_balance == "resample":
        data["groups"] = order.group_by_class(dataset.labels)
    return data


def _periods(config: ConfigDict) -> list[int]:
    """Periods at whose multiples calls end."""
    names = "log_every", "sample_every", "checkpoint_every", "eval_every"
    return [config[name] for name in names if config[name]]


def _end_of_call(step: int, most: int, config: ConfigDict) -> int:
    """The end of the call that begins at `step`: the next multiple of a period."""
    ends = [(step // period + 1) * period for period in (most, *_periods(config))]
    return min(config.num_steps, *ends)


def _due(every: int, step: int, config: ConfigDict) -> bool:
    return step == config.num_steps or bool(every and step % every == 0)


def _wants_samples(step: int, config: ConfigDict) -> bool:
    first = step == config.log_every  # with the first line, so that there is soon a picture
    return bool(config.sample_every) and (first or _due(config.sample_every, step, config))


def _save(saved: Checkpoints, step: int, state: GanState, monitor: Monitor, best: Best, budget) -> None:
    def copy():
        extra = {"window": monitor.window, "best": best._asdict(), "seconds": budget.seconds()}
        return saved.copy(step, state, extra, keep=best.step)

    monitor.save(copy)


def _newest(workdir: Path) -> Checkpoint | None:
    """The newest complete checkpoint of a run."""
    with Checkpoints(workdir / "checkpoints", read_only=True) as saved:
        return saved.restore()


def _traced(workdir: Path, wanted: bool):
    """Traces the block with the profiler, for TensorBoard or Perfetto."""
    return jax.profiler.trace(str(workdir / "profile")) if wanted else contextlib.nullcontext()


def require_determinism(deterministic: bool) -> None:
    """Asks XLA for deterministic kernels; before any device is used."""
    if not deterministic:
        return
    flag = "--xla_gpu_deterministic_ops=true"
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    # nor the kernels that another run found to be the fastest
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
