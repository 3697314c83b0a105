"""The discriminator as penalties see it: a function of examples alone."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

Examples = Float[Array, "B ..."]
PerExample = Float[Array, " B"]


class Critic(NamedTuple):
    """`critic(examples [B, ...]) -> logits [B]`, with the conditions of the real examples.

    Attributes:
      judge: `(examples, like) -> logits`; `like` says whose conditions to use, 'real' or 'fake'.
      like: which of the two.
    """

    judge: Callable[[Examples, str], PerExample]
    like: str = "real"

    def __call__(self, examples: Examples) -> PerExample:
        return self.judge(examples, self.like)


def of_fakes(critic: Callable[[Examples], PerExample]) -> Callable[[Examples], PerExample]:
    """The critic with the conditions of the fakes. Without a condition it is the same."""
    return critic._replace(like="fake") if isinstance(critic, Critic) else critic
