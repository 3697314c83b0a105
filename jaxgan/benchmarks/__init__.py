"""The parts of `python -m jaxgan.benchmark`."""
