"""Counts the floating-point operations of a training step, and chooses the number of steps in a call."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.steps import train_step
from jaxgan.algorithm.train_state import GanState

_LONG_CALL = 2.5e11  # operations: some seconds on one core of a CPU


def program_flops(jaxpr: Jaxpr) -> float:
    """Floating-point operations of the matrix products and convolutions of a traced program.

    A multiplication and an addition are two operations, also at the borders of images. All iterations of a
    scan are counted, the longest branch of a conditional, the default of platform-dependent code, and one
    iteration of a loop of unknown length. Not counted: elementwise operations (sums, distances), the zeros
    between the inputs of a transposed convolution, and, outside of loops, operations without effect on a
    result.
    """
    total, needed = 0.0, set(map(id, jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        if needed.isdisjoint(map(id, equation.outvars)):
            continue
        needed.update(map(id, equation.invars))
        name, params = equation.primitive.name, equation.params
        inner = [program_flops(sub) for sub in _programs(params)]
        if name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2.0 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            outputs = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
            terms = kernel.size / outputs / math.prod(params["lhs_dilation"])
            total += 2.0 * equation.outvars[0].aval.size * terms
        elif name == "cond":
            platforms = params.get("branches_platforms")
            total += inner[platforms.index(None)] if platforms else max(inner)
        else:
            total += sum(inner) * params.get("length", 1)
    return total


def _programs(params):
    for value in params.values():
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, ClosedJaxpr | Jaxpr):
                yield getattr(part, "jaxpr", part)


def step_flops(gan: GAN, state: GanState, batch_size: int, axis_name: str | None = None) -> float:
    """Floating-point operations of one training step, penalties and all: see `program_flops`.

    Args:
      gan: what is static about the GAN.
      state: a state of it, or its shapes.
      batch_size: real examples of an update, over all devices.
      axis_name: the device axis, if the networks use one.
    """
    shape = gan.batches, batch_size
    batch = {
        "examples": jax.ShapeDtypeStruct((*shape, *gan.data_shape), jnp.float32),
        "labels": jax.ShapeDtypeStruct(shape, jnp.int32),
        "index": jax.ShapeDtypeStruct(shape[1:], jnp.int32),
    }
    if gan.reads_partners:
        batch["partner"] = batch["examples"]
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)

    def step(state, batch):
        return train_step(state, batch, gan=gan, axis_name=axis_name)

    if axis_name:  # one device with the whole batch
        one = jax.vmap(step, (None, None), axis_name=axis_name, axis_size=1)
        return program_flops(jax.make_jaxpr(one)(state, batch).jaxpr)
    return program_flops(jax.make_jaxpr(step)(state, batch).jaxpr)


def steps_of_a_call(
    gan: GAN,
    state: GanState,
    batch_size: int,
    cores: float,
    most: int,
    periods: Sequence[int],
    axis_name: str | None = None,
    trace: Callable[[], tuple[Jaxpr | None, int]] | None = None,
) -> int:
    """The number of steps in one compiled call, small enough for prompt signals and progress.

    This is the config's number, or fewer if the call would take more than about 5 s on a CPU, estimated from
    its operations.

    Args:
      gan, state, batch_size: of a run, see `step_flops`.
      cores: number of cores; below 1 for a member of a population, which has a share of a core.
      most: the config's number.
      periods: in steps. A shorter call divides all of them if possible, because every further length of a
        call is another program.
      axis_name: see `step_flops`.
      trace: returns the traced program of a call and its number of steps, if a call is traced anyway. Without
        it the step is traced again, which takes as long as loading a compiled program.
    """
    if jax.default_backend() != "cpu":
        return most
    program, steps = trace() if trace else (None, 1)
    if program is None:
        flops = step_flops(gan, state, batch_size, axis_name)
    else:
        flops = program_flops(program) / steps
    limit = max(1, int(_LONG_CALL * cores / (flops + 1)))
    if limit >= most:
        return most
    common = math.gcd(*periods)
    divisor = max(n for n in range(1, min(limit, common) + 1) if common % n == 0)
    return divisor if 4 * divisor >= limit else limit
