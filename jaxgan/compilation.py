"""Compiler options for large programs."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# Options of `jax.jit` for programs that run once: optimizing them would take longer than running them.
ONCE = {"xla_backend_optimization_level": 0}


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` for programs full of convolutions, on the backend in use.

    Since JAX 0.10, XLA uses the library YNNPACK for convolutions on a CPU. For the convolutions of GANs this
    takes 1.2 to 3 times as long as XLA's own code, most of all for kernel gradients; for those of Inception
    twice as long (`python -m jaxgan.benchmark` measures whole steps). So it is turned off for convolutions,
    not for matrix products. `jax.pmap`, used on a CPU only in tests, takes no options.
    """
    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:  # another version of XLA, which does not know the option
        return {}
    return options


def jit(function: Callable, **arguments) -> Callable:
    """`jax.jit` with `compiler_options()`, for functions of a module.

    The options are looked up at a call, because that initializes the devices, which must not happen before
    several processes are connected.
    """
    compiled = functools.cache(lambda **options: jax.jit(function, compiler_options=options, **arguments))

    @functools.wraps(function)
    def call(*args):
        return compiled(**compiler_options())(*args)

    return call


def float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the function computes in float32 even if x64 is enabled."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return wrapped
