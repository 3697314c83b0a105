"""SNGAN, BigGAN and R3GAN as a good PyTorch user writes them, from the papers' layouts.

Modules have the names of this project's layers, so that weights can be passed over by name. Images are
`[B, C, H, W]`.
"""

import re
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from jaxgan.models.layout import discriminator_layout, generator_layout, halvings, sizes_upward

Fields = dict[str, Any]


def normalized(layer: nn.Module, name: str, f: Fields) -> nn.Module:
    """The layer, with spectral norm if its name matches the field."""
    pattern = f["spectral_norm"]
    return spectral_norm(layer) if pattern and re.search(pattern, name) else layer


def activate(x, f: Fields):
    """The activation of hidden layers."""
    return functional.leaky_relu(x, f["slope"]) if f["activation"] == "leaky_relu" else functional.relu(x)


class Norm(nn.Module):
    """Batch norm; where `told` numbers are given with each example, its gain and bias depend on them."""

    def __init__(self, channels: int, told: int, name: str, f: Fields):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=1e-5, affine=not told)
        if told:
            self.gain = normalized(nn.Linear(told, channels, bias=False), f"{name}_gain", f)
            self.bias = normalized(nn.Linear(told, channels, bias=False), f"{name}_bias", f)

    def forward(self, x, condition):
        x = self.norm(x)
        if condition is None:
            return x
        return x * (1 + self.gain(condition)[:, :, None, None]) + self.bias(condition)[:, :, None, None]


class GeneratorBlock(nn.Module):
    """Batch norm, activation, enlargement, convolution; batch norm, activation, convolution; a shortcut."""

    def __init__(self, inputs: int, features: int, told: int, f: Fields):
        super().__init__()
        self.f = f
        use_bias = f["norm_bias"] or not f["batch_norm"]
        if f["batch_norm"]:
            self.batch_norm_0 = Norm(inputs, told, "batch_norm_0", f)
            self.batch_norm_1 = Norm(features, told, "batch_norm_1", f)
        self.conv_0 = normalized(nn.Conv2d(inputs, features, 3, padding=1, bias=use_bias), "conv_0", f)
        self.conv_1 = normalized(nn.Conv2d(features, features, 3, padding=1, bias=use_bias), "conv_1", f)
        self.shortcut = normalized(nn.Conv2d(inputs, features, 1, bias=use_bias), "shortcut", f)

    def forward(self, x, condition=None):
        y = self.batch_norm_0(x, condition) if self.f["batch_norm"] else x
        y = self.conv_0(functional.interpolate(activate(y, self.f), scale_factor=2))
        y = self.batch_norm_1(y, condition) if self.f["batch_norm"] else y
        y = self.conv_1(activate(y, self.f))
        return y + functional.interpolate(self.shortcut(x), scale_factor=2)


class DiscriminatorBlock(nn.Module):
    """Activation, convolution, activation, convolution, mean of 2×2 pixels; a shortcut."""

    def __init__(self, inputs: int, hidden: int, features: int, halve: bool, first: bool, f: Fields):
        super().__init__()
        self.halve, self.first, self.f = halve, first, f
        self.conv_0 = normalized(nn.Conv2d(inputs, hidden, 3, padding=1), "conv_0", f)
        self.conv_1 = normalized(nn.Conv2d(hidden, features, 3, padding=1), "conv_1", f)
        if halve or inputs != features:
            self.shortcut = normalized(nn.Conv2d(inputs, features, 1), "shortcut", f)

    def forward(self, x):
        y = self.conv_0(x if self.first else activate(x, self.f))
        y = self.conv_1(activate(y, self.f))
        if self.halve:
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
        return (self.shortcut(x) if hasattr(self, "shortcut") else x) + y


class SelfAttention(nn.Module):
    """x + γ·o(A·g), A = softmax over a quarter of the places of θᵀφ."""

    def __init__(self, channels: int, f: Fields):
        super().__init__()
        widths = {"theta": channels // 8, "phi": channels // 8, "g": channels // 2}
        for name, width in widths.items():
            setattr(self, name, normalized(nn.Conv2d(channels, max(width, 1), 1, bias=False), name, f))
        self.o = normalized(nn.Conv2d(max(channels // 2, 1), channels, 1, bias=False), "o", f)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        theta = self.theta(x).flatten(2)
        phi, g = (functional.max_pool2d(layer(x), 2).flatten(2) for layer in (self.phi, self.g))
        attention = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)
        found = (g @ attention.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        return x + self.gain * self.o(found)


class Generator(nn.Module):
    """`resnet`, and with `split_z` among the fields `biggan`.

    Args:
      shape: of one image, `(H, W, C)`.
      latent_dim: of z.
      classes: of the condition; 0: none.
      f: the fields of the network.
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int, classes: int, f: Fields):
        super().__init__()
        (start, *sizes), multipliers = generator_layout(shape, f["multipliers"])
        first, *widths = (f["width"] * multiplier for multiplier in multipliers)
        self.first, self.f, told = (first, *start), f, classes
        parts = len(sizes) + 1 if f.get("split_z") else 1
        chunks = [len(chunk) for chunk in torch.tensor_split(torch.zeros(latent_dim), parts)]
        self.chunks = chunks
        if classes and f.get("shared"):
            self.label_embedding = nn.Linear(classes, f["shared"], bias=False)
            told = f["shared"]
        self.project = normalized(nn.Linear(chunks[0], first * start[0] * start[1]), "project", f)
        before, self.blocks = first, []
        for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
            more = chunks[i + 1] if len(chunks) > 1 else 0
            self._add(f"block_{i}", GeneratorBlock(before, width, told + more, f))
            if min(size) in f["attention"]:
                self._add(f"attention_{min(size)}", SelfAttention(width, f))
            before = width
        self.last_norm = Norm(before, 0, "last_norm", f) if f["batch_norm"] else None
        self.output = normalized(nn.Conv2d(before, shape[2], 3, padding=1), "output", f)

    def _add(self, name, module):
        setattr(self, name, module)
        self.blocks.append(name)

    def forward(self, z, vectors=None):
        """`vectors`: one-hot classes `[B, K]`."""
        embedded = self.label_embedding(vectors) if hasattr(self, "label_embedding") else vectors
        first, *chunks = torch.split(z, self.chunks, dim=1)
        x = self.project(first).view(-1, *self.first)
        for name in self.blocks:
            if name.startswith("attention"):
                x = getattr(self, name)(x)
                continue
            told = [part for part in (embedded, *chunks[:1]) if part is not None]
            chunks = chunks[1:]
            x = getattr(self, name)(x, torch.cat(told, dim=1) if told else None)
        x = self.last_norm(x, None) if self.last_norm else x
        return torch.tanh(self.output(activate(x, self.f)))


class Discriminator(nn.Module):
    """`resnet`; with blocks as `wide` within as behind them `biggan`. Classes are projected."""

    def __init__(self, shape: tuple[int, ...], classes: int, wide: bool, f: Fields):
        super().__init__()
        self.f, self.blocks, before, side = f, [], shape[2], min(shape[:2])
        for i, (multiplier, halve) in enumerate(discriminator_layout(shape, f["multipliers"])):
            width = f["width"] * multiplier
            hidden = width if wide or i == 0 else before
            self._add(f"block_{i}", DiscriminatorBlock(before, hidden, width, halve, i == 0, f))
            before, side = width, side // 2 if halve else side
            if side in f["attention"] and not hasattr(self, f"attention_{side}"):
                self._add(f"attention_{side}", SelfAttention(width, f))
        self.output = normalized(nn.Linear(before, 1), "output", f)
        if classes:
            self.projection = normalized(nn.Linear(classes, before, bias=False), "projection", f)

    _add = Generator._add

    def forward(self, x, vectors=None):
        for name in self.blocks:
            x = getattr(self, name)(x)
        x = activate(x, self.f).sum((2, 3))
        logits = self.output(x)[:, 0]
        return logits if vectors is None else logits + (self.projection(vectors) * x).sum(1)


# --- R3GAN --------------------------------------------------------------------------------------------


class R3Block(nn.Module):
    """1×1 to twice the channels, grouped 3×3, 1×1 back; LeakyReLU behind the first two; x is added."""

    def __init__(self, channels: int, group_width: int):
        super().__init__()
        inner = 2 * channels
        self.conv_0 = nn.Conv2d(channels, inner, 1)
        self.conv_1 = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group_width)
        self.conv_2 = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x):
        y = functional.leaky_relu(self.conv_0(x), 0.2)
        return x + self.conv_2(functional.leaky_relu(self.conv_1(y), 0.2))


class Filter(nn.Module):
    """[1, 3, 3, 1]/8 along both axes, applied to each channel; enlarges or reduces by two."""

    def __init__(self, up: bool):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        self.up = up
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None])

    def forward(self, x):
        channels = x.shape[1]
        convolve = functional.conv_transpose2d if self.up else functional.conv2d
        return convolve(x, self.kernel.repeat(channels, 1, 1, 1), stride=2, padding=1, groups=channels)


class R3Network(nn.Module):
    """Stages of blocks with enlargements, or reductions, between them.

    Args:
      shape: of one image, `(H, W, C)`.
      latent_dim: of the generator's z; 0: the discriminator.
      f: the fields of the network.
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int, f: Fields):
        super().__init__()
        multipliers = f["multipliers"] or (1,) * (halvings(shape, 4) + 1)
        widths = [f["width"] * multiplier for multiplier in multipliers]
        start = sizes_upward(shape, (2,) * (len(widths) - 1))[0]
        self.up, self.blocks = bool(latent_dim), []
        for i, width in enumerate(widths):
            if i:
                change = width != widths[i - 1]
                change = (
                    [(f"transition_{i}", nn.Conv2d(widths[i - 1], width, 1, bias=False))] if change else []
                )
                between = [(f"filter_{i}", Filter(self.up))]
                self._add(change + between if self.up else between + change)
            self._add([(f"block_{i}_{j}", R3Block(width, f["group_width"])) for j in range(f["blocks"])])
        if self.up:
            self.project = nn.Linear(latent_dim, widths[0], bias=False)
            self.basis = nn.Parameter(torch.randn(widths[0], *start))
            self.output = nn.Conv2d(widths[-1], shape[2], 1, bias=False)
        else:
            self.input = nn.Conv2d(shape[2], widths[0], 1, bias=False)
            self.basis = nn.Parameter(torch.randn(widths[-1], *start) / 4)
            self.output = nn.Linear(widths[-1], 1, bias=False)

    def _add(self, named):
        for name, module in named:
            setattr(self, name, module)
            self.blocks.append(name)

    def forward(self, x):
        x = self.project(x)[:, :, None, None] * self.basis if self.up else self.input(x)
        for name in self.blocks:
            x = getattr(self, name)(x)
        return self.output(x) if self.up else self.output((x * self.basis).sum((2, 3)))[:, 0]


def generator(name: str, shape: tuple[int, ...], latent_dim: int, classes: int, f: Fields) -> nn.Module:
    """The generator called `name`."""
    if name == "r3gan":
        return R3Network(shape, latent_dim, f)
    return Generator(shape, latent_dim, classes, f)


def discriminator(name: str, shape: tuple[int, ...], classes: int, f: Fields) -> nn.Module:
    """The discriminator called `name`."""
    if name == "r3gan":
        return R3Network(shape, 0, f)
    return Discriminator(shape, classes, name == "biggan", f)
