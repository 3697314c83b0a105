"""Builds the objects that a config names, and refuses configs that make no sense."""
