"""Measures of a run: diagnostics while it trains."""
