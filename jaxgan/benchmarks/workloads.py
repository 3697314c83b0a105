"""The GANs to time, by name: a config, and the size of its data."""

import importlib
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxgan.errors import UserError


class Workload(NamedTuple):
    """A GAN to time.

    Attributes:
      config: the name of a file of configs/, with its variant.
      shape: of one example.
      num_examples: in the data set, which has noise, because times do not depend on the content.
      num_classes: of the labels of a conditional GAN; 0: it has none.
      update_orders: that the measure `train` compares.
    """

    config: str
    shape: tuple[int, ...]
    num_examples: int
    num_classes: int = 0
    update_orders: tuple[str, ...] = ("alternating", "simultaneous")

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels."""
        return tuple(range(self.num_classes))

    def read(
        self, batch_size: int = 0, update_order: str = "alternating", compute_dtype: str = "float32"
    ) -> ConfigDict:
        """The config, with another batch size if one is given.

        Raises:
          UserError: configs/ is not in the current folder.
        """
        name, _, variant = self.config.partition(":")
        try:
            get_config = importlib.import_module(f"configs.{name}").get_config
        except ModuleNotFoundError as error:
            raise UserError("configs/ is not here: run the benchmark in the project's folder") from error
        config = get_config(variant) if variant else get_config()
        with config.unlocked():
            config.batch_size = batch_size or config.batch_size
            config.update_order, config.compute_dtype = update_order, compute_dtype
        return config

    def draw_examples(self) -> np.ndarray:
        """uint8 images `[N, H, W, C]` or float32 points `[N, D]`."""
        random, shape = np.random.default_rng(0), (self.num_examples, *self.shape)
        if len(self.shape) == 3:
            return random.integers(0, 256, shape, np.uint8)
        return random.standard_normal(shape, np.float32)

    def draw_data(self) -> dict[str, np.ndarray]:
        """`examples`, and of a conditional GAN `labels` int32 `[N]`, all classes equally often."""
        labels = np.arange(self.num_examples, dtype=np.int32) % max(self.num_classes, 1)
        return {"examples": self.draw_examples()} | ({"labels": labels} if self.num_classes else {})


WORKLOADS = {
    "dcgan_mnist:full": Workload("dcgan_mnist:full", (28, 28, 1), 60_000),
    "dcgan_mnist": Workload("dcgan_mnist", (28, 28, 1), 60_000),
    "mlp_mnist": Workload("mlp_mnist:deep", (28, 28, 1), 60_000),
    "gan_ring": Workload("gan_ring", (2,), 100_000),
    "gan_ring:small": Workload("gan_ring:small", (2,), 100_000),
    "dcgan_32": Workload("dcgan_images", (32, 32, 3), 50_000),
    "sngan:small": Workload("sngan:small", (32, 32, 3), 50_000, update_orders=("alternating",)),
    "biggan:small": Workload("biggan:small", (32, 32, 3), 50_000, 10, ("alternating",)),
    "r3gan_stacked:small": Workload(
        "r3gan:stacked_mnist,small", (32, 32, 3), 50_000, update_orders=("alternating",)
    ),
}
