"""The training step of a config as a good PyTorch user writes it (see `pytorch.py`).

It knows the losses, penalties and conditions of the workloads, and refuses others.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.functional import one_hot, relu, softplus

from jaxgan.config.fields import active_regularizers, names_of
from jaxgan.errors import UserError


class Loss(NamedTuple):
    """Both players' losses of real and fake logits; `pairs`: the generator's looks at real ones, too."""

    discriminator: Callable[..., torch.Tensor]
    generator: Callable[..., torch.Tensor]
    pairs: bool = False


LOSSES = {
    "nonsaturating": Loss(
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        lambda real, fake: softplus(-fake).mean(),
    ),
    "hinge": Loss(
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(), lambda real, fake: -fake.mean()
    ),
    "relativistic_pairing": Loss(
        lambda real, fake: softplus(fake - real).mean(), lambda real, fake: softplus(real - fake).mean(), True
    ),
}


class Trainer:
    """Alternating or simultaneous steps.

    Args:
      config: of the workload.
      generator, discriminator: the networks.
      optimizers: of the generator and of the discriminator.
      draw: `() → (real [B, ...], labels [B] or None)`, a fresh batch.
      num_classes: of the condition; 0: there is none.
      autocast: the context of the networks.
    """

    def __init__(self, config, generator, discriminator, optimizers, draw, num_classes: int, autocast):
        self.config, self.draw, self.num_classes, self.autocast = config, draw, num_classes, autocast
        self.generator, self.discriminator = generator, discriminator
        self.generator_optimizer, self.discriminator_optimizer = optimizers
        self.flip = names_of(config.data_augment) == ("flip",)
        self.gamma = {name: section.weight for name, section in active_regularizers(config).items()}
        unknown = set(self.gamma) - {"r1", "r2"} | {config.loss.name} - LOSSES.keys()
        unknown |= {config.condition.name} - {"none", "labels"}
        unknown |= set(names_of(config.data_augment)) - {"flip"}
        if unknown:
            raise UserError(f"the benchmark's PyTorch has no {', '.join(sorted(unknown))}")
        self.loss = LOSSES[config.loss.name]

    def step(self) -> None:
        """One update of the generator, with those of the discriminator before it."""
        for _ in range(self.config.discriminator_steps - 1):
            real, fake, told = self._minibatch(torch.no_grad())
            self._update_discriminator(real, fake, told)
        real, fake, told = self._minibatch(torch.enable_grad())
        if self.config.update_order == "simultaneous":
            self._update_both(real, fake, told)
            return
        self._update_discriminator(real, fake.detach(), told)
        self.discriminator.requires_grad_(False)  # the generator's update needs no gradients of its weights
        with self.autocast:
            judged = self.discriminator(real, *told["real"]) if self.loss.pairs else None
            loss = self.loss.generator(judged, self.discriminator(fake, *told["fake"]))
        self.discriminator.requires_grad_(True)
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimizer.step()

    def _minibatch(self, gradient):
        """Real and fake examples, and one-hot classes of each."""
        real, labels = self.draw()
        if self.flip:
            mirrored = torch.rand(len(real), 1, 1, 1, device=real.device) < 0.5
            real = torch.where(mirrored, real.flip(3), real)
        told: dict[str, tuple[Any, ...]] = {"real": (), "fake": ()}
        if self.num_classes:
            told["real"] = (one_hot(labels, self.num_classes).float(),)
            drawn = torch.randint(self.num_classes, (len(real),), device=real.device)
            told["fake"] = (one_hot(drawn, self.num_classes).float(),)
        z = torch.randn(len(real), self.config.latent_dim, device=real.device)
        with self.autocast, gradient:
            return real, self.generator(z, *told["fake"]), told

    def _update_discriminator(self, real, fake, told):
        real, fake = (examples.requires_grad_(bool(self.gamma)) for examples in (real, fake))
        with self.autocast:
            logits = {
                "r1": self.discriminator(real, *told["real"]),
                "r2": self.discriminator(fake, *told["fake"]),
            }
            loss = self.loss.discriminator(*logits.values())
        for (name, said), examples in zip(logits.items(), (real, fake), strict=True):
            if name in self.gamma:
                (slope,) = torch.autograd.grad(said.sum(), examples, create_graph=True)
                loss = loss + self.gamma[name] / 2 * slope.square().sum((1, 2, 3)).mean()
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()

    def _update_both(self, real, fake, told):
        """Both with the networks from before: one pass of the discriminator over the fakes for both."""
        with self.autocast:
            logits = self.discriminator(real, *told["real"]), self.discriminator(fake, *told["fake"])
        generator_loss = self.loss.generator(*logits)
        discriminator_loss = self.loss.discriminator(*logits)
        _set_gradients(self.generator, generator_loss, retain_graph=True)
        _set_gradients(self.discriminator, discriminator_loss)
        self.generator_optimizer.step()
        self.discriminator_optimizer.step()


def _set_gradients(network, loss, **options):
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(loss, parameters, **options)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
