"""Grids of samples and plots."""
