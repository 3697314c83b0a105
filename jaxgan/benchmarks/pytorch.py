"""The same GANs as a good PyTorch user writes them: contenders to compare with.

The networks and the work in a step are the same: one batch of fakes for both updates, an Adam step of the
discriminator, and one of the generator. jaxgan's step also averages the generator, and computes gradient
norms and other metrics. `torch` is not a dependency of the project.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import torch
from torch import nn

from jaxgan.benchmarks import pytorch_residual as residual
from jaxgan.benchmarks.pytorch_steps import Trainer
from jaxgan.benchmarks.workloads import WORKLOADS
from jaxgan.config import experiment
from jaxgan.config.fields import selected
from jaxgan.errors import UserError


class Projection(nn.Module):
    """z → s·s·C, then an image."""

    def __init__(self, latent_dim: int, side: int, channels: int, bias: bool):
        super().__init__()
        self.side, self.channels = side, channels
        self.linear = nn.Linear(latent_dim, side * side * channels, bias=bias)

    def forward(self, z):
        images = self.linear(z).view(-1, self.channels, self.side, self.side)
        return images.contiguous(memory_format=torch.channels_last)


class Maxout(nn.Module):
    """The largest of `pieces` neighbours."""

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, x):
        return x.view(len(x), -1, self.pieces).amax(-1)


class View(nn.Module):
    """A flat vector as an example."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.view(len(x), *self.shape)


def _activation(fields: dict[str, Any]) -> nn.Module:
    return nn.LeakyReLU(fields["slope"], True) if fields["activation"] == "leaky_relu" else nn.ReLU(True)


def _dense(before: int, widths, f, batch_norm: bool) -> tuple[list[nn.Module], int]:
    """Hidden layers, and the width of what leaves them."""
    modules = []
    for out in widths:
        modules.append(nn.Linear(before, out, bias=not batch_norm))
        modules += [nn.BatchNorm1d(out)] if batch_norm else []
        modules.append(_activation(f))
        before = out
    return modules, before


def _dcgan_generator(shape, latent_dim, f) -> nn.Module:
    side = shape[0]
    for stride in f["strides"]:
        side //= stride
    modules, before = _dense(latent_dim, f["dense"], f, f["batch_norm"])
    modules.append(Projection(before, side, f["channels"][0], not f["batch_norm"]))
    outs = (*f["channels"][1:], shape[2])
    before = f["channels"][0]
    for i, (out, kernel, stride) in enumerate(zip(outs, f["kernels"], f["strides"], strict=True)):
        modules += [nn.BatchNorm2d(before)] if f["batch_norm"] else []
        modules.append(_activation(f))
        bias = i == len(outs) - 1 or not f["batch_norm"]
        padding = (kernel - 1) // 2
        more = stride + 2 * padding - kernel
        modules.append(nn.ConvTranspose2d(before, out, kernel, stride, padding, more, bias=bias))
        before = out
    return nn.Sequential(*modules, nn.Tanh())


def _dcgan_discriminator(shape, f) -> nn.Module:
    modules, before, side = [], shape[2], shape[0]
    for i, (out, kernel, stride) in enumerate(zip(f["channels"], f["kernels"], f["strides"], strict=True)):
        normalized = f["batch_norm"] and i > 0
        modules.append(nn.Conv2d(before, out, kernel, stride, (kernel - 1) // 2, bias=not normalized))
        modules += [nn.BatchNorm2d(out)] if normalized else []
        modules.append(_activation(f))
        before, side = out, side // stride
    dense, before = _dense(before * side * side, f["dense"], f, f["batch_norm"])
    return nn.Sequential(*modules, nn.Flatten(), *dense, nn.Linear(before, 1), nn.Flatten(0))


def _mlp_generator(shape, latent_dim, f) -> nn.Module:
    modules, before = _dense(latent_dim, f["hidden"], f, f["batch_norm"])
    modules.append(nn.Linear(before, torch.Size(shape).numel()))
    if len(shape) == 3:
        modules += [nn.Tanh(), View((shape[2], *shape[:2]))]
    return nn.Sequential(*modules)


def _mlp_discriminator(shape, f) -> nn.Module:
    modules, before = [nn.Flatten()], torch.Size(shape).numel()
    for out in f["hidden"]:
        modules.append(nn.Linear(before, out * max(f["maxout"], 1)))
        modules.append(Maxout(f["maxout"]) if f["maxout"] else _activation(f))
        before = out
    return nn.Sequential(*modules, nn.Linear(before, 1), nn.Flatten(0))


_GENERATORS = {"dcgan": _dcgan_generator, "mlp": _mlp_generator}
_DISCRIMINATORS = {"dcgan": _dcgan_discriminator, "mlp": _mlp_discriminator}


def networks(config, shape: tuple[int, ...], classes: tuple[int, ...] = ()) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of a config, images `[B, C, H, W]`; as many parameters as this project's.

    Padding of even sizes begins on the other side than in this project, so images of `dcgan` are mirrored.

    Args:
      config: the config.
      shape: of an example.
      classes: the labels of the data, where networks are told them.
    """
    made, told = [], len(classes)
    for section, registry, latent in (
        ("generator", _GENERATORS, (config.latent_dim,)),
        ("discriminator", _DISCRIMINATORS, ()),
    ):
        name, fields = selected(config, section)
        if name in registry:
            made.append(registry[name](shape, *latent, fields))
        else:
            made.append(getattr(residual, section)(name, shape, *latent, told, fields))
    gan = experiment.make_gan(config, shape, classes=classes)
    for network, ours, size in zip(
        made, (gan.generator, gan.discriminator), ((config.latent_dim,), shape), strict=True
    ):
        params = sum(parameter.numel() for parameter in network.parameters())
        if params != count_parameters(ours, size, gan.given_example):
            raise UserError(f"the benchmark's PyTorch {type(ours).__name__} is not the one of this config")
    return tuple(made)


def count_parameters(network, shape: tuple[int, ...], given: dict[str, Any]) -> int:
    """Of a linen module that takes inputs of `shape`, and conditions `given`."""
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *shape)), **given)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def train(
    workload: str,
    batch_size: int = 0,
    update_order: str = "alternating",
    compute_dtype: str = "float32",
    compiled: bool = False,
):
    """Training steps, examples drawn from a data set on the device. A piece of work is one step.

    Args:
      workload: a key of WORKLOADS.
      batch_size: 0: the config's.
      update_order: 'alternating', or 'simultaneous': one pass of the discriminator over the fakes for both.
      compute_dtype: 'bfloat16': of the networks, by autocast.
      compiled: whether the networks go through `torch.compile`.
    """
    device = _set_up()
    chosen = WORKLOADS[workload]
    config = chosen.read(batch_size, update_order)
    shape, batch = chosen.shape, config.batch_size
    generator, discriminator = networks(config, shape, chosen.classes)
    images = len(shape) == 3
    layout = _layout(config)
    generator, discriminator = (
        network.to(device, memory_format=layout) for network in (generator, discriminator)
    )
    optimizers = []
    for network, section in (
        (generator, config.generator_optimizer.adam),
        (discriminator, config.discriminator_optimizer.adam),
    ):
        kind = functools.partial(torch.optim.Adam, betas=(section.b1, section.b2), eps=section.eps)
        optimizers.append(kind(network.parameters(), section.learning_rate, fused=True))
    data = {name: torch.from_numpy(values) for name, values in chosen.draw_data().items()}
    examples = data["examples"]
    if images:
        examples = examples.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    examples = examples.to(device)
    labels = data["labels"].long().to(device) if "labels" in data else None
    if compiled:
        # Two backward passes go through one forward. (No CUDA graphs, mode='reduce-overhead': the second
        # network's graph would overwrite what the first one's backward pass needs.)
        torch._functorch.config.donated_buffer = False
        generator, discriminator = (torch.compile(network) for network in (generator, discriminator))
    autocast = torch.autocast(device, torch.bfloat16, enabled=compute_dtype == "bfloat16")

    def draw():
        rows = torch.randint(len(examples), (batch,), device=device)
        real = examples[rows].float() / 127.5 - 1 if images else examples[rows]
        return real, None if labels is None else labels[rows]

    trainer = Trainer(config, generator, discriminator, optimizers, draw, chosen.num_classes, autocast)

    def work(num: int) -> None:
        for _ in range(num):
            trainer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return work, {"batch_size": batch}


def sample(workload: str, batch_size: int = 64):
    """Sampling to NumPy arrays on the host. A piece of work is one batch."""
    device = _set_up()
    chosen = WORKLOADS[workload]
    config = chosen.read()
    generator, _ = networks(config, chosen.shape, chosen.classes)
    generator = generator.to(device, memory_format=_layout(config)).eval()

    @torch.inference_mode()
    def work(num: int) -> None:
        for _ in range(num):
            z, told = torch.randn(batch_size, config.latent_dim, device=device), ()
            if chosen.num_classes:
                labels = torch.randint(chosen.num_classes, (batch_size,), device=device)
                told = (torch.nn.functional.one_hot(labels, chosen.num_classes).float(),)
            fake = generator(z, *told)
            if fake.ndim == 4:
                fake = ((fake.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
            fake.cpu().numpy()

    return work, {"batch_size": batch_size}


def _layout(config) -> torch.memory_format:
    """The faster order of axes."""
    return torch.contiguous_format if config.generator.name == "mlp" else torch.channels_last


def _set_up() -> str:
    jax.config.update("jax_platforms", "cpu")  # only to count parameters: it should not take GPU memory
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32, as JAX's default precision is on a GPU
    torch.backends.cudnn.allow_tf32 = True
    return "cuda" if torch.cuda.is_available() else "cpu"
