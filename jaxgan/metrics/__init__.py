"""Measures: what a step tells of its batch, diagnostics of a run, statistics of features and of modes."""
