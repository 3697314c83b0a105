"""XLA's flags for programs of tests, which are compiled for seconds and run for milliseconds."""

from importlib.metadata import version


def xla_flags(devices: int) -> str:
    """Simulated devices, and compilation in a fifth of the usual time. XLA's own passes are not affected."""
    names = [f"xla_force_host_platform_device_count={devices}", "xla_backend_optimization_level=0"]
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):  # later ones refuse it
        names.append("xla_cpu_use_fusion_emitters=false")
    return " ".join(f"--{name}" for name in names)
