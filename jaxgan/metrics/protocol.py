"""How many fakes are compared with how many real examples. Only numbers with the same protocol compare."""

from typing import NamedTuple

from jaxgan.errors import UserError


class Protocol(NamedTuple):
    """How many fakes are compared with how many real examples of which split.

    Attributes:
      num: of fakes, and of real examples (or all that there are).
      split: of the real examples.
      whole: whether all real examples of the split are used.
    """

    num: int
    split: str
    whole: bool = False


PROTOCOLS = {
    "2.5k": Protocol(2_500, "test"),  # mixtures: Lin et al. 2018, PacGAN, section 4.1
    "10k": Protocol(10_000, "test"),  # Lucic et al. 2018, Are GANs Created Equal?, section 5
    "25.6k": Protocol(25_600, "test"),  # Stacked-MNIST: Metz et al. 2017, Unrolled GANs, section 3.3
    "26k": Protocol(26_000, "test"),  # Stacked-MNIST: Srivastava et al. 2017, VEEGAN, and PacGAN
    "50k": Protocol(50_000, "train", whole=True),  # Karras et al. 2020, StyleGAN2-ADA: fid50k_full
}


def find_protocol(name: str) -> Protocol:
    """The preset called `name`; for a number N: N fakes against the test set."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if not name.isdecimal() or int(name) < 2:
        raise UserError(
            f"unknown evaluation.protocol '{name}'; known: {', '.join(PROTOCOLS)}, or a number of samples"
        )
    return Protocol(int(name), "test")
