"""Devices, placement and processes: how the pure step runs on them, and how much arithmetic it is."""
