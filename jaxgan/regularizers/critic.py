"""The discriminator as penalties see it: a function of examples alone."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

Examples = Float[Array, "B ..."]
PerExample = Float[Array, " B"]


class Critic(NamedTuple):
    """`critic(examples [B, ...]) -> logits [B]`, judged with what is given with the real examples.

    Attributes:
      judge: `(examples, like) -> logits`; `like` is 'real' or 'fake': what is given with the examples.
      like: which of them.
    """

    judge: Callable[[Examples, str], PerExample]
    like: str = "real"

    def __call__(self, examples: Examples) -> PerExample:
        return self.judge(examples, self.like)


def of_fakes(critic: Callable[[Examples], PerExample]) -> Callable[[Examples], PerExample]:
    """The critic of fakes: it judges with what is given with these. Without a condition it is the same."""
    return critic._replace(like="fake") if isinstance(critic, Critic) else critic
