"""What `python -m jaxgan.benchmark` is made of."""
