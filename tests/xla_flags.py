"""XLA's flags for programs of tests, which are compiled for seconds and run for milliseconds."""

import contextlib
from importlib.metadata import version

import pytest

EMITTERS = "xla_cpu_use_fusion_emitters"
# Later versions of jaxlib do not have the flag, and stop at one that they do not know.
OLD = tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11)


def xla_flags(devices):
    """Simulated devices, and compilation in a fifth of the usual time."""
    flags = [f"--xla_force_host_platform_device_count={devices}", "--xla_backend_optimization_level=0"]
    return " ".join([*flags, f"--{EMITTERS}=false"] if OLD else flags)


@contextlib.contextmanager
def as_for_users():
    """The library compiles with XLA's fusion emitters: without them, different programs round differently."""
    from jaxgan import compilation
    from jaxgan.devices import parallel
    from jaxgan.sweeps import population

    emitters = {EMITTERS: True} if OLD else {}
    options = compilation.compiler_options() | emitters
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emitters.items():
            patch.setitem(compilation.ONCE, name, value)
        for module in (compilation, parallel, population):
            patch.setattr(module, "compiler_options", lambda: options)
        yield
