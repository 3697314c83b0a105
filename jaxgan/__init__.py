"""jaxgan: generative adversarial networks in JAX and Flax, for research."""

__version__ = "0.1.0"


def load(workdir, step=None, weights="ema"):
    """The generator of a run as a function, see `jaxgan.sampler.load`."""
    from jaxgan.sampler import load

    return load(workdir, step, weights)
