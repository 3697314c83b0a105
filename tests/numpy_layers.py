"""Layers in float64 NumPy, implemented from their definitions."""

import jax
import jax.numpy as jnp
import numpy as np


def number_of_parameters(module, inputs, **told):
    """Number of parameters of a network for inputs `[B, *inputs]`, without creating them."""
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((2, *inputs)), **told)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def params64(variables):
    """The parameters in float64."""
    if isinstance(variables, dict):
        return {name: params64(leaf) for name, leaf in variables.items()}
    return np.asarray(variables, np.float64)


def conv(x, layer, groups=1):
    """Convolution with stride 1, an odd kernel and zero padding: [B, H, W, I] -> [B, H, W, O]."""
    kernel = layer["kernel"]
    kh, kw, per_group, features = kernel.shape
    b, h, w, _ = x.shape
    padded = np.pad(x, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    y = np.zeros((b, h, w, features))
    wide = features // groups
    for g in range(groups):
        of_x = padded[..., g * per_group : (g + 1) * per_group]
        own = slice(g * wide, (g + 1) * wide)
        for i, j in np.ndindex(kh, kw):
            y[..., own] += of_x[:, i : i + h, j : j + w] @ kernel[i, j][:, own]
    return y + layer.get("bias", 0)


def dense(x, layer):
    return x @ layer["kernel"] + layer.get("bias", 0)


def batch_norm(x, scale=1, bias=0):
    """Batch normalization with the statistics of x."""
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) * scale + bias


def relu(x):
    return np.maximum(x, 0)


def upsample(x, size):
    return x.repeat(2, axis=1).repeat(2, axis=2)[:, : size[0], : size[1]]


def average_pool(x):
    b, h, w, c = x.shape
    y = np.zeros((b, -(-h // 2), -(-w // 2), c))
    for i, j in np.ndindex(*y.shape[1:3]):
        y[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(1, 2))
    return y


def softmax(x):
    exponential = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)
