"""Self-attention against NumPy, and its position in the networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy_layers import dense, params64, softmax

from jaxgan.errors import UserError
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.attention import SelfAttention


def test_attention_by_hand():
    """For maps of odd size with 16 channels. With a gain of 0 the maps do not change."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 16))
    module = SelfAttention()
    params = jax.jit(lambda x: module.init(jax.random.key(0), x, True))(jnp.float32(x))["params"]
    assert {name: layer["kernel"].shape for name, layer in params.items() if name != "gain"} == {
        "theta": (16, 2), "phi": (16, 2), "g": (16, 8), "o": (8, 16),
    }  # fmt: skip
    run = jax.jit(lambda params: module.apply({"params": params}, jnp.float32(x), True))
    np.testing.assert_array_equal(run(params), jnp.float32(x))

    def pooled(maps):
        parts = [[maps[:, i : i + 2, j : j + 2].max(axis=(1, 2)) for j in (0, 2)] for i in (0, 2)]
        return np.stack([*parts[0], *parts[1]], axis=1)

    p = params64({name: leaf for name, leaf in params.items() if name != "gain"})
    theta = dense(x, p["theta"]).reshape(2, 12, 2)
    phi, g = (pooled(dense(x, p[name])) for name in ("phi", "g"))
    attended = softmax(theta @ phi.transpose(0, 2, 1)) @ g
    expected = x + 0.7 * dense(attended, p["o"]).reshape(x.shape)
    np.testing.assert_allclose(run({**params, "gain": jnp.float32(0.7)}), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("registry", [GENERATORS, DISCRIMINATORS], ids=["generator", "discriminator"])
def test_attention_follows_the_first_block_of_a_resolution(registry):
    """At 32 pixels it follows the second block of the generator and the first of the discriminator."""
    module = registry["resnet"]((32, 40, 3), width=4, attention=(16, 8), spectral_norm=".")
    inputs = jnp.zeros((1, 5) if registry is GENERATORS else (1, 32, 40, 3))
    run = jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), inputs, capture_intermediates=True, mutable=True)[
            1
        ]
    )
    order = [name for name in run["params"] if name.startswith(("block", "attention"))]
    assert sorted(name for name in order if "attention" in name) == ["attention_16", "attention_8"]
    assert "spectral_theta" in run["batch_stats"]["attention_16"]
    seen = run["intermediates"]["attention_16"]["__call__"][0].shape
    assert seen == ((1, 16, 20, 16) if registry is GENERATORS else (1, 16, 20, 8))
    with pytest.raises(UserError, match=r"attention=\(12,\): no block gives .* of 12; there are: 8, 16"):
        registry["resnet"]((32, 32, 3), attention=(12,))
