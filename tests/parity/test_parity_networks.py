"""Residual networks beside PyTorch: with the same weights, equal outputs and gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.models import DISCRIMINATORS, GENERATORS, attention, biggan_deep, r3gan, resample, residual
from jaxgan.models.conditional import ConditionalDiscriminator, ConditionalGenerator

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from jaxgan.benchmarks import pytorch_residual as theirs  # noqa: E402

RNG = np.random.default_rng(0)
FIELDS = {
    "activation": "relu", "slope": 0.2, "spectral_norm": ".", "batch_norm": True, "norm_bias": False,
    "attention": (), "multipliers": (), "initializer": "normal",
}  # fmt: skip


def drawn(*shape):
    return RNG.normal(size=shape)


def to_torch(array):
    """Images `[B, H, W, C]` as `[B, C, H, W]`; else as it is."""
    tensor = torch.tensor(np.asarray(array))
    return (tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor).clone()


def from_torch(tensor):
    array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def place_of(name):
    """PyTorch's name of a parameter as a path of this project's."""
    *path, leaf = name.replace(".parametrizations.weight.original", ".weight").split(".")
    if len(path) > 1 and path[-1] in ("gain", "bias"):  # of a conditional batch norm
        path = [*path[:-2], f"{path[-2]}_{path[-1]}"]
    of_norm = path[-1:] == ["norm"]
    path = path[:-1] if of_norm else path
    return *path, {"weight": "scale" if of_norm else "kernel"}.get(leaf, leaf)


def arranged(array, like, first=None):
    """A parameter, or its gradient, as this project has it; `first` is the shape of the projection's maps."""
    if array.ndim == 4:  # [O, I, h, w]
        array = array.transpose(2, 3, 1, 0)
        return array.reshape(like.shape) if like.ndim == 2 else array
    if array.ndim == 3:  # a basis
        return array.transpose(1, 2, 0)
    if first:
        return array.reshape(*first, -1).transpose(3, 1, 2, 0).reshape(like.shape)
    return array.T


def settle(network, name, parameter):
    """Puts a layer's power iteration at its end, where PyTorch's order, u before v, is no other; u of W."""
    left, _, right = np.linalg.svd(parameter.detach().numpy().reshape(len(parameter), -1))
    norm = network.get_submodule(name.replace(".original", ".0"))
    with torch.no_grad():
        norm._u.copy_(torch.tensor(left[:, 0]))
        norm._v.copy_(torch.tensor(right[0]))
    return left[:, 0]


def compare(module, network, inputs, given=(), first=None, call=None, rtol=1e-9):
    """Both in training mode, with weights drawn here: outputs, and the gradients of a sum of sines.

    Args:
      module: of this project.
      network: of PyTorch.
      inputs: an array.
      given: further arguments of PyTorch's network.
      first: see `arranged`.
      call: `(module.apply, variables, inputs)` → outputs and new collections.
    """
    network = network.double().train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.tensor(drawn(*parameter.shape) * 0.3))
    x = to_torch(inputs).requires_grad_()
    call = call or (lambda apply, variables, x: apply(variables, x, True, mutable=["batch_stats"]))

    with jax.enable_x64(True):

        def init(variables, *args, mutable, **given):
            return module.init(jax.random.key(0), *args, **given)

        shapes = jax.eval_shape(lambda x: call(init, {}, x), jnp.asarray(inputs))
        like = flatten_dict(shapes["params"])
        of = {place_of(name): (name, parameter) for name, parameter in network.named_parameters()}
        assert of.keys() == like.keys()

        def ours(values):
            found = {}
            for place, leaf in like.items():
                value = values[of[place][0]]
                found[place] = arranged(value, leaf, first if place[0] == "project" else None)
                assert found[place].shape == leaf.shape, place
            return found

        params = ours({name: p.detach().numpy().copy() for name, p in network.named_parameters()})
        stats = {}
        for path, leaf in flatten_dict(shapes.get("batch_stats", {})).items():
            stats[path] = np.full(leaf.shape, float(path[-1] == "var"))
            if path[-1] == "u":
                name, parameter = of[*path[:-2], path[-2].removeprefix("spectral_"), "kernel"]
                stats[path] = settle(network, name, parameter)
                if path[0] == "spectral_project":
                    stats[path] = stats[path].reshape(first).transpose(1, 2, 0).reshape(-1)
        expected = network(x, *given)
        weights = drawn(*from_torch(expected).shape)

        @jax.jit
        def run(params, x):
            def total(params, x):
                variables = {"params": unflatten_dict(params), "batch_stats": unflatten_dict(stats)}
                y, _ = call(module.apply, variables, x)
                return jnp.sum(jnp.sin(y) * weights), y

            (_, y), grads = jax.value_and_grad(total, (0, 1), has_aux=True)(params, x)
            return y, grads

        found, (of_params, of_x) = jax.device_get(run(params, jnp.asarray(inputs)))
    (torch.sin(expected) * to_torch(weights)).sum().backward()
    close = {"rtol": rtol, "atol": rtol}
    np.testing.assert_allclose(found, from_torch(expected), **close)
    np.testing.assert_allclose(of_x, from_torch(x.grad), **close)
    gradients = ours({name: p.grad.numpy() for name, p in network.named_parameters()})
    for place, gradient in gradients.items():
        scale = max(np.abs(gradient).max(), 1.0)
        np.testing.assert_allclose(
            of_params[place], gradient, rtol=rtol, atol=rtol * scale, err_msg=str(place)
        )
    assert np.ptp(found) > 1e-3


BLOCK = ("relu", 0.2, ".", "normal")


@pytest.mark.parametrize("told", [0, 5], ids=["plain", "conditional"])
def test_generator_block(told):
    module = residual.GeneratorBlock(6, (8, 4), True, False, *BLOCK, None)
    condition = drawn(3, told) if told else None

    def call(apply, variables, x):
        given = None if condition is None else jnp.asarray(condition)
        return apply(variables, x, True, given, mutable=["batch_stats"])

    given = () if condition is None else (to_torch(condition),)
    compare(module, theirs.GeneratorBlock(4, 6, told, FIELDS), drawn(3, 4, 2, 4), given, call=call)


@pytest.mark.parametrize("halve, first", [(True, True), (False, False)])
def test_discriminator_block(halve, first):
    module = residual.DiscriminatorBlock(6, 4, halve, first, *BLOCK)
    network = theirs.DiscriminatorBlock(3, 4, 6, halve, first, FIELDS)
    compare(module, network, drawn(2, 8, 6, 3))


def test_self_attention():
    compare(attention.SelfAttention(".", "normal"), theirs.SelfAttention(16, FIELDS), drawn(2, 6, 4, 16))


def test_grouped_residual_block():
    def call(apply, variables, x):
        return apply(variables, x, mutable=["batch_stats"])

    for width in (2, 1):
        compare(r3gan.R3Block(width, 4), theirs.R3Block(8, width), drawn(2, 5, 4, 8), call=call)


class DeepGeneratorBlock(nn.Module):
    """BigGAN-deep, figure 16: 1×1, 3×3, 3×3, 1×1, the channels beyond the result's dropped."""

    def __init__(self, inputs, features, told):
        super().__init__()
        inner, self.features = inputs // 4, features
        for i, (before, width, size) in enumerate(
            [(inputs, inner, 1), (inner, inner, 3), (inner, inner, 3), (inner, features, 1)]
        ):
            name = f"batch_norm_{i}"
            setattr(self, name, theirs.Norm(before, told, name, FIELDS))
            conv = nn.Conv2d(before, width, size, padding=size // 2, bias=False)
            setattr(self, f"conv_{i}", theirs.normalized(conv, f"conv_{i}", FIELDS))

    def forward(self, x, condition):
        y = x
        for i in range(4):
            y = functional.relu(getattr(self, f"batch_norm_{i}")(y, condition))
            y = getattr(self, f"conv_{i}")(functional.interpolate(y, scale_factor=2) if i == 1 else y)
        return y + functional.interpolate(x[:, : self.features], scale_factor=2)


class DeepDiscriminatorBlock(nn.Module):
    """BigGAN-deep, figure 16: the channels that x lacks come from a 1×1 convolution of the pooled x."""

    def __init__(self, inputs, features):
        super().__init__()
        inner = features // 4
        for i, (before, width, size) in enumerate(
            [(inputs, inner, 1), (inner, inner, 3), (inner, inner, 3), (inner, features, 1)]
        ):
            conv = nn.Conv2d(before, width, size, padding=size // 2)
            setattr(self, f"conv_{i}", theirs.normalized(conv, f"conv_{i}", FIELDS))
        self.shortcut = theirs.normalized(nn.Conv2d(inputs, features - inputs, 1), "shortcut", FIELDS)

    def forward(self, x):
        y = x
        for i in range(3):
            y = getattr(self, f"conv_{i}")(functional.relu(y))
        y = self.conv_3(functional.avg_pool2d(functional.relu(y), 2))
        x = functional.avg_pool2d(x, 2)
        return y + torch.cat([x, self.shortcut(x)], dim=1)


def test_blocks_of_biggan_deep():
    condition = drawn(3, 5)
    module = biggan_deep.DeepGeneratorBlock(6, (8, 6), False, *BLOCK, None)

    def call(apply, variables, x):
        return apply(variables, x, True, jnp.asarray(condition), mutable=["batch_stats"])

    compare(module, DeepGeneratorBlock(8, 6, 5), drawn(3, 4, 3, 8), (to_torch(condition),), call=call)
    compare(
        biggan_deep.DeepDiscriminatorBlock(8, True, *BLOCK), DeepDiscriminatorBlock(5, 8), drawn(2, 6, 4, 5)
    )


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_resampling(up):
    x = drawn(2, 6, 4, 3)
    there = to_torch(x)
    expected = theirs.Filter(up).double()(there)
    with jax.enable_x64(True):
        found = resample.smooth_upsample(jnp.asarray(x), (12, 8)) if up else resample.smooth_downsample(x)
        plain = resample.upsample(jnp.asarray(x), (12, 8)) if up else resample.average_pool(x)
    np.testing.assert_allclose(found, from_torch(expected), rtol=1e-6, atol=1e-7)
    same = (
        functional.interpolate(to_torch(x), scale_factor=2) if up else functional.avg_pool2d(to_torch(x), 2)
    )
    np.testing.assert_allclose(plain, from_torch(same), rtol=1e-12)


def given_classes(vectors):
    def call(apply, variables, x):
        return apply(variables, x, True, labels=jnp.asarray(vectors), mutable=["batch_stats"])

    return call


@pytest.mark.parametrize("name", ["resnet", "biggan"])
def test_whole_conditional_networks(name):
    """With attention, spectral norm, conditional batch norm and a projection; in `biggan` z is parted."""
    shape, vectors = (8, 8, 3), np.eye(3)[[0, 2, 1]]
    fields = {"width": 4, "spectral_norm": ".", "attention": (8,)} | (
        {"shared": 5} if name == "biggan" else {}
    )
    f = FIELDS | fields | {"split_z": name == "biggan"}
    told = to_torch(vectors)
    module = ConditionalGenerator(GENERATORS[name](shape, **fields), 3, "batch_norm")
    network = theirs.generator(name, shape, 8, 3, f)
    call = given_classes(vectors)
    compare(module, network, drawn(3, 8), (told,), first=network.first, call=call, rtol=1e-7)

    fields.pop("shared", None)
    fields["attention"] = (4,)
    module = ConditionalDiscriminator(DISCRIMINATORS[name](shape, **fields), 3, "projection")
    network = theirs.discriminator(name, shape, 3, f | fields)
    compare(module, network, drawn(3, *shape), (told,), call=call, rtol=1e-7)


def test_whole_r3gan():
    shape, fields = (8, 8, 3), {"width": 8, "multipliers": (1, 2), "blocks": 1, "group_width": 4}
    network = theirs.generator("r3gan", shape, 6, 0, fields)
    compare(GENERATORS["r3gan"](shape, **fields), network, drawn(3, 6), rtol=1e-6)
    network = theirs.discriminator("r3gan", shape, 0, fields)
    compare(DISCRIMINATORS["r3gan"](shape, **fields), network, drawn(3, *shape), rtol=1e-6)
