"""Blocks whose inner maps are computed twice: the same weights, outputs and gradients, and less kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.models import DISCRIMINATORS, GENERATORS

SHAPE = (8, 8, 1)
SMALL = {"width": 4, "multipliers": (1, 1)}
NETWORKS = {"resnet": SMALL, "biggan": SMALL, "biggan_deep": SMALL, "r3gan": {**SMALL, "group_width": 4}}


@pytest.mark.parametrize("registry", [GENERATORS, DISCRIMINATORS], ids=["generator", "discriminator"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "biggan_deep")) for name in NETWORKS]
)  # it takes longest to compile
def test_gradients_are_equal(registry, name):
    fields = NETWORKS[name] | ({} if name == "r3gan" else {"spectral_norm": "."})
    x = np.random.default_rng(0).normal(size=(3, 6) if registry is GENERATORS else (3, *SHAPE))

    @jax.jit
    def run(key, x):
        found = []
        for remat in (False, True):
            module = registry[name](SHAPE, **fields, remat=remat)
            variables = jax.tree.map(jnp.float64, module.init(key, x))

            def total(params, x, module=module, variables=variables):
                outputs, state = module.apply(
                    {**variables, "params": params}, x, True, mutable=["batch_stats"]
                )
                return jnp.sum(jnp.sin(outputs)), state

            found.append((variables, jax.value_and_grad(total, (0, 1), has_aux=True)(variables["params"], x)))
        return found

    with jax.enable_x64(True):
        kept, again = run(jax.random.key(0), x)
    assert jax.tree.structure(kept) == jax.tree.structure(again)
    for a, b in zip(jax.tree.leaves(kept), jax.tree.leaves(again), strict=True):
        assert b.dtype == jnp.float64
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_less_is_kept_for_the_gradient(name):
    def bytes_of(remat):
        module = DISCRIMINATORS[name](SHAPE, **NETWORKS[name], remat=remat)
        images = jnp.zeros((32, *SHAPE))
        params = jax.eval_shape(module.init, jax.random.key(0), images)["params"]

        def pull_back(params, images):  # its leaves are what is kept
            return jax.vjp(lambda params, images: module.apply({"params": params}, images), params, images)[1]

        kept = jax.tree.leaves(jax.eval_shape(pull_back, params, images))
        return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)

    assert bytes_of(True) < 0.5 * bytes_of(False)
