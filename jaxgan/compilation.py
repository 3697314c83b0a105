"""How large programs are compiled: what no source code can say to XLA."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# Options of `jax.jit` for programs that run once: LLVM would take longer to make them fast than they run.
ONCE = {"xla_backend_optimization_level": 0}


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` for programs full of convolutions, on the backend in use.

    On a CPU, XLA hands convolutions to the library YNNPACK since JAX 0.10. With those of GANs, in training
    and in sampling, that takes 1.2 to 3 times as long as its own (`python -m jaxgan.benchmark` measures a
    whole step; kernel gradients suffer most), and with those of Inception twice as long; matrix products it
    may keep. `jax.pmap`, on a CPU for tests, takes no options.
    """
    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:  # an XLA that does not know it, being older or newer
        return {}
    return options


def jit(function: Callable, **arguments) -> Callable:
    """`jax.jit` with `compiler_options()`, for functions of a module.

    They are asked for at the first call, since they look for devices: not before several processes have met.
    """
    compiled = functools.cache(lambda: jax.jit(function, compiler_options=compiler_options(), **arguments))

    @functools.wraps(function)
    def call(*args):
        return compiled()(*args)

    return call


def float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the function computes in float32, also in a program that has switched x64 on."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return wrapped
