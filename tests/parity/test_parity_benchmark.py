"""The benchmark's PyTorch networks have the same outputs as this project's with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgan.benchmarks.workloads import WORKLOADS
from jaxgan.config import experiment
from jaxgan.errors import UserError

torch = pytest.importorskip("torch")


def arranged(tensor, shape, side):
    """A PyTorch tensor in the layout of this project, of `shape`; transposed convolutions are mirrored.

    Args:
      side: height and width of the small image before or after a dense layer.
    """
    array = tensor.detach().numpy()
    if array.ndim == 4:  # [out, in, kh, kw]; transposed, [in, out, kh, kw]: as `conv` takes it, both ways
        return np.flip(array, (2, 3)).transpose(2, 3, 1, 0)
    if array.ndim == 1:
        return array
    if side and shape[1] % side**2 == 0:  # the projection, [C·s·s, in]
        array = np.flip(array.reshape(-1, side, side, shape[0]), (1, 2)).transpose(1, 2, 0, 3)
        return array.reshape(shape[1], shape[0]).T
    if side and shape[0] % side**2 == 0:  # the first dense layer behind maps, [out, C·s·s]
        array = np.flip(array.reshape(len(array), -1, side, side), (2, 3))
        return array.transpose(2, 3, 1, 0).reshape(shape)
    return array.T


def with_weights_of(network, inputs, theirs, side):
    """This project's network with PyTorch's weights, applied to `inputs`. Layers have the same order."""
    variables = network.init(jax.random.key(0), inputs)
    params = flatten_dict(variables["params"])
    tensors = list(theirs.parameters())
    assert len(params) == len(tensors)
    for (path, leaf), tensor in zip(list(params.items()), tensors, strict=True):
        params[path] = arranged(tensor, leaf.shape, side)
        assert params[path].shape == leaf.shape
    variables = {**variables, "params": unflatten_dict(params)}
    return network.apply(variables, inputs, train=True, mutable=["batch_stats"])[0]


RESIDUAL = "sngan:small", "biggan:small", "r3gan_stacked:small"  # their networks: test_parity_networks.py


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name not in RESIDUAL])
def test_networks_equal_this_project_s(name):
    from jaxgan.benchmarks import pytorch

    workload = WORKLOADS[name]
    config = workload.read()
    gan = experiment.make_gan(config, workload.shape)
    torch.manual_seed(0)
    generator, discriminator = pytorch.networks(config, workload.shape)
    side = 0 if config.generator.name == "mlp" else {28: 7, 32: 4}[workload.shape[0]]

    z = np.random.default_rng(0).standard_normal((8, config.latent_dim)).astype(np.float32)
    theirs = generator(torch.from_numpy(z))
    ours = with_weights_of(gan.generator, jnp.asarray(z), generator, side)
    there = theirs.detach().numpy()
    if there.ndim == 4:
        there = (there[:, :, ::-1, ::-1] if side else there).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours, there, rtol=1e-4, atol=1e-5)

    logits = discriminator(theirs).detach().numpy()
    ours = with_weights_of(gan.discriminator, ours, discriminator, side)
    np.testing.assert_allclose(ours, logits, rtol=1e-4, atol=1e-5)
    assert np.ptp(logits) > 1e-3


@pytest.mark.filterwarnings("ignore")  # warnings of torch.compile within PyTorch
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("order", ["alternating", "simultaneous"])
def test_both_orders_train(order, compiled):
    from jaxgan.benchmarks import pytorch

    work, _ = pytorch.train("gan_ring:small", 8, order, "bfloat16" if compiled else "float32", compiled)
    work(3)


@pytest.mark.parametrize("name", RESIDUAL)
def test_residual_networks_of_a_config_train(name):
    """`networks` counts their parameters; weights of both move."""
    from jaxgan.benchmarks import pytorch

    workload = WORKLOADS[name]
    generator, discriminator = pytorch.networks(workload.read(), workload.shape, workload.classes)
    assert sum(parameter.numel() for parameter in generator.parameters()) > 10_000
    work, facts = pytorch.train(name, 2)
    work(1)
    assert facts["batch_size"] == 2


def test_what_the_benchmark_does_not_know_is_refused():
    from jaxgan.benchmarks.pytorch_steps import Trainer

    config = WORKLOADS["gan_ring"].read()
    config.loss.name = "wasserstein"
    config.regularizers.wgan_gp.weight = 10.0
    with pytest.raises(UserError, match="has no wasserstein, wgan_gp"):
        Trainer(config, None, None, (None, None), None, 0, None)
