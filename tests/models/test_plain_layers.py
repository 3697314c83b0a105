"""Within `plain_layers` every network is a program of operations that exporters know."""

import jax
import jax.numpy as jnp
import pytest

from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.convolution import plain_layers

SHAPE = (8, 12, 3)
UNKNOWN = ("platform_index", "custom_vjp_call", "optimization_barrier")
ALL = [(registry, name) for registry in (GENERATORS, DISCRIMINATORS) for name in registry]


def unknown_in(registry, name):
    """Those of `UNKNOWN` that the network's program contains."""
    image, translates = jnp.zeros((2, *SHAPE)), "given_shape" in registry.takes(name)
    fields = {"given_shape": SHAPE} if translates else {}
    if "receptive_field" in registry.fields(name):
        fields["receptive_field"] = 16
    module = registry[name](SHAPE, **fields)
    inputs, given = (
        jnp.zeros((2, 6)) if registry is GENERATORS else image,
        {"image": image} if translates else {},
    )
    variables = jax.eval_shape(lambda key: module.init(key, inputs, **given), jax.random.key(0))
    program = str(jax.make_jaxpr(lambda *args: module.apply(*args, **given))(variables, inputs))
    return {operation for operation in UNKNOWN if operation in program}


@pytest.mark.parametrize(("registry", "name"), ALL, ids=lambda v: getattr(v, "kind", v))
def test_no_network_has_operations_that_exporters_do_not_know(registry, name):
    usual = unknown_in(registry, name)
    assert bool(usual) == (name != "mlp")
    with plain_layers():
        assert not unknown_in(registry, name)
    assert unknown_in(registry, name) == usual  # afterwards, as before


def test_a_function_that_was_traced_before_is_traced_again():
    module = GENERATORS["dcgan"](SHAPE)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((2, 6)))
    run = jax.jit(module.apply)

    def form():
        return "platform_index" in str(jax.make_jaxpr(run)(shapes, jnp.zeros((2, 6))))

    assert form()
    with plain_layers():
        assert not form()
    assert form()
