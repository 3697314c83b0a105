"""Devices and processes: running the pure step on them, and counting its floating-point operations."""
