"""How much arithmetic a training step is, counted in its own program, and so how many of them make a call."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxgan.algorithm.gan import GAN
from jaxgan.algorithm.steps import train_step
from jaxgan.algorithm.train_state import GanState

_LONG_CALL = 2.5e11  # operations, for one core of a CPU: some seconds


def program_flops(jaxpr: Jaxpr) -> float:
    """Floating-point operations of the matrix products and convolutions of a traced program.

    Two for each multiplication and addition, borders included, of whatever layer. Of a scan all turns count,
    of a conditional the longest branch, of what differs by platform the default, and of a loop of unknown
    length one turn. Not counted are work element by element (sums, distances), the zeros between the inputs
    of a transposed convolution and, outside of loops, what no result depends on.
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
      axis_name: of the devices, where the networks know one.
    """
    shape = gan.discriminator_steps, batch_size
    batch = {
        "examples": jax.ShapeDtypeStruct((*shape, *gan.shape), jnp.float32),
        "labels": jax.ShapeDtypeStruct(shape, jnp.int32),
        "index": jax.ShapeDtypeStruct(shape[1:], jnp.int32),
    }
    if gan.reads_partners:
        batch["partner"] = batch["examples"]
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)

    def step(state, batch):
        return train_step(state, batch, gan=gan, axis_name=axis_name)

    if axis_name:  # one device, which has the whole batch
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
    """How many steps one compiled call should have, so that signals and progress stay prompt.

    As many as the config says, or fewer where on a CPU the call would take longer than about 5 s by its
    arithmetic.

    Args:
      gan, state, batch_size: of a run, see `step_flops`.
      cores: that work on it; below 1, the share of a core that a member of a population has.
      most: what the config says.
      periods: in steps. A shorter call divides them all if it can, for each other length is another program.
      axis_name: see `step_flops`.
      trace: gives the program of a call, which is traced anyhow, and the number of its steps; without it the
        step is traced once more, which takes as long as to load a compiled one.
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
